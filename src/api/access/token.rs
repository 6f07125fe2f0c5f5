//! Tokens: making them, storing them as digests, and recognising them.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq;

use super::scope::Scope;

/// Beginning of every token, by which people and secret scanners recognise one.
const PREFIX: &str = "aev_";

/// Random bytes in a token: 256 bits cannot be guessed, so a plain SHA-256 is enough and needs no salt.
const RANDOM_BYTES: usize = 32;

/// Longest name of a token.
const MAX_NAME: usize = 64;

/// Makes a new token.
///
/// # Errors
/// The system has no randomness to give.
pub fn mint() -> anyhow::Result<String> {
    let mut bytes = [0; RANDOM_BYTES];
    getrandom::fill(&mut bytes)?;
    Ok(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes)))
}

/// SHA-256 of a token; the token itself is not stored.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Digest([u8; 32]);

impl Digest {
    const ALGORITHM: &'static str = "sha256:";

    fn of(token: &str) -> Self {
        Self(Sha256::digest(token).into())
    }

    fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix(Self::ALGORITHM).filter(|digits| digits.len() == 64)?;
        let values: Option<Vec<_>> = digits.chars().map(|digit| digit.to_digit(16)).collect();
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(values?.chunks_exact(2)) {
            *byte = (pair[0] << 4 | pair[1]) as u8;
        }
        Some(Self(bytes))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Self::ALGORITHM)?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A token that the server accepts: its name, scopes and digest, without the secret.
#[derive(Clone)]
pub struct Token {
    /// The name, for logs and answers.
    pub name: Arc<str>,
    scopes: Vec<Scope>,
    digest: Digest,
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({}, {:?})", self.name, self.scopes)
    }
}

impl fmt::Display for Token {
    /// The line `NAME SCOPES DIGEST` for the server's file of tokens.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scopes: Vec<_> = self.scopes.iter().map(Scope::to_string).collect();
        write!(f, "{} {} {}", self.name, scopes.join(","), self.digest)
    }
}

impl Token {
    /// The entry for a secret made by [`mint`]. The name must satisfy [`is_name`].
    pub fn new(name: &str, scopes: Vec<Scope>, secret: &str) -> Self {
        Self { name: name.into(), scopes, digest: Digest::of(secret) }
    }

    /// Whether the token has a scope, directly or as `admin`.
    pub fn allows(&self, scope: Scope) -> bool {
        self.scopes.iter().any(|held| [scope, Scope::Admin].contains(held))
    }

    /// Parses `NAME SCOPES DIGEST`. Messages quote nothing of the line, which may hold a token by mistake.
    fn parse(line: &str) -> Result<Self, &'static str> {
        let words: Vec<_> = line.split_whitespace().collect();
        let [name, scopes, digest] = words[..] else {
            return Err("expected three words, `NAME SCOPES DIGEST`");
        };
        if !is_name(name) {
            return Err("the name is not 1 to 64 letters, digits, `.`, `_` and `-`, or begins as tokens do");
        }
        let scopes: Result<Vec<Scope>, _> = scopes.split(',').map(str::parse).collect();
        let scopes =
            scopes.map_err(|_| "the scopes are not of `runs:read`, `runs:write` and `admin`, by commas")?;
        let digest = Digest::parse(digest).ok_or("the digest is not `sha256:` and 64 hexadecimal digits")?;
        Ok(Self { name: name.into(), scopes, digest })
    }
}

/// Whether a text can name a token: it is harmless in a log, and no token that was put in the wrong place.
pub fn is_name(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (1..=MAX_NAME).contains(&name.len()) && name.bytes().all(is_plain) && !name.starts_with(PREFIX)
}

/// Parses entries between separators; `#` starts a comment.
///
/// # Errors
/// The number of the faulty entry, from 1, and its fault.
pub(super) fn parse_all(text: &str, separators: &[char]) -> Result<Vec<Token>, (usize, &'static str)> {
    let (mut tokens, mut digests) = (Vec::new(), HashSet::new());
    for (line, number) in text.trim_start_matches('\u{feff}').split(separators).zip(1..) {
        let line = line.split('#').next().unwrap_or_default().trim();
        if line.is_empty() {
            continue;
        }
        let token = Token::parse(line).map_err(|fault| (number, fault))?;
        if !digests.insert(token.digest.clone()) {
            return Err((number, "the digest stands in an earlier line too"));
        }
        tokens.push(token);
    }
    Ok(tokens)
}

/// The token with this secret. Every digest is compared, each in constant time, so that the time taken does not reveal
/// how much of a digest is right.
pub(super) fn find<'a>(tokens: &'a [Token], secret: &str) -> Option<&'a Token> {
    let digest = Digest::of(secret);
    let mut found = None;
    for token in tokens {
        if token.digest.0.ct_eq(&digest.0).into() {
            found = Some(token);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_known_by_the_line_made_for_it() {
        let token = mint().unwrap();
        assert_eq!(token.len(), 4 + 43);
        let line = Token::new("ci", vec![Scope::RunsRead, Scope::RunsWrite], &token).to_string();
        assert!(line.starts_with("ci runs:read,runs:write sha256:") && !line.contains(&token), "{line}");
        let known = parse_all(&format!("# keys\n\n{line} # of CI\r\n"), &['\n']).unwrap();
        let found = find(&known, &token).unwrap();
        assert_eq!(&*found.name, "ci");
        assert!(found.allows(Scope::RunsWrite) && !found.allows(Scope::Admin));
        assert!(find(&known, &mint().unwrap()).is_none());
        assert!(find(&known, "").is_none());
    }

    #[test]
    fn the_digest_is_plain_sha_256() {
        let digest = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(Digest::of("abc").to_string(), digest);
        assert!(Digest::parse(digest) == Some(Digest::of("abc")));
        assert!(Digest::parse(&digest.to_uppercase()).is_none());
    }

    #[test]
    fn faults_are_located_and_nothing_is_repeated() {
        let good = Token::new("a", vec![Scope::Admin], "t").to_string();
        let digest = good.split(' ').nth(2).unwrap();
        for (line, said) in [
            ("ci runs:read", "three words"),
            ("ci runs:read sha256:12 more", "three words"),
            (&format!("aev_secret runs:read {digest}"), "the name"),
            (&format!("c\u{e9} runs:read {digest}"), "the name"),
            (&format!("ci aev_secret {digest}"), "the scopes"),
            (&format!("ci runs:read, {digest}"), "the scopes"),
            ("ci runs:read aev_secret", "the digest"),
            (&format!("ci runs:read {}", &digest[..70]), "the digest"),
            (&format!("ci runs:read {}\u{e9}", &digest[..69]), "the digest"),
            (&format!("ci runs:read {digest}"), "earlier line"),
        ] {
            let (number, fault) = parse_all(&format!("{good}\n{line}"), &['\n']).unwrap_err();
            assert_eq!(number, 2);
            assert!(fault.contains(said) && !fault.contains("secret"), "{line}: {fault}");
        }
    }

    #[test]
    fn an_administrator_may_do_everything() {
        let admin = Token::new("a", vec![Scope::Admin], "t");
        assert!(Scope::NAMES.iter().all(|(_, scope)| admin.allows(*scope)));
    }
}
