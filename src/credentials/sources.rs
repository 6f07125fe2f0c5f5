//! Sources of the values of headers and signing secrets.

use std::collections::BTreeMap;

use reqwest::header::{HeaderName, HeaderValue};

use super::refs::CredentialRefs;
use super::rules::CredentialRules;
use crate::json::Value;
use crate::json::checked::{Cursor, Object, Spelling};

/// Most headers of a request that a specification may set.
const MAX_HEADERS: usize = 64;

/// Longest value of a header: common servers accept so much for all headers together.
pub(super) const MAX_VALUE_BYTES: usize = 8 << 10;

/// Longest prefix of a credential in a header.
const MAX_PREFIX_BYTES: usize = 16;

/// Headers of the connection and of the framing, which the HTTP client sets and specifications may not.
const OURS: [&str; 12] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Headers of a request, each with the source of its value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HeaderSources(BTreeMap<String, HeaderSource>);

/// The source of a header's value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum HeaderSource {
    /// The specification itself; marked as sensitive, because users may write secrets there all the same.
    Literal(HeaderValue),
    /// A secret, after a prefix.
    Referred { prefix: String, source: SecretSource },
}

/// The source of a secret, which is never the specification itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretSource {
    /// An environment variable of the process that uses it.
    Env(String),
    /// A credential that the specification names.
    Credential(String),
}

impl HeaderSources {
    /// Reads an object of headers by name; each is `"value"`, `{"from_env": NAME}` or
    /// `{"credential_ref": NAME, "prefix": "Bearer "}`.
    pub fn read(cursor: &Cursor<'_, '_>, rules: &CredentialRules, refs: &CredentialRefs) -> Option<Self> {
        Self::read_each(cursor, |header| HeaderSource::read(header, rules, refs))
    }

    /// Reads an object of headers by name; each is the name of a variable, as in the reference's `headers_from_env`.
    pub fn read_variables(cursor: &Cursor<'_, '_>, rules: &CredentialRules) -> Option<Self> {
        Self::read_each(cursor, |header| {
            let name = header.string()?;
            rules.check_variable(&name).map_err(|fault| header.fault(fault)).ok()?;
            Some(HeaderSource::Referred { prefix: String::new(), source: SecretSource::Env(name) })
        })
    }

    fn read_each(
        cursor: &Cursor<'_, '_>,
        read: impl Fn(&Cursor<'_, '_>) -> Option<HeaderSource>,
    ) -> Option<Self> {
        let map = cursor.map()?;
        if map.len() > MAX_HEADERS {
            cursor.fault(format!("{} headers are more than {MAX_HEADERS}", map.len()));
            return None;
        }
        let mut sources = BTreeMap::new();
        for (name, _) in map.iter() {
            cursor.member(name, |header| {
                let lower = read_name(name).map_err(|fault| header.fault(fault)).ok()?;
                let source = read(header)?;
                if sources.insert(lower, source).is_some() {
                    header.fault("is given twice, in different case; leave one out");
                }
                Some(())
            });
        }
        Some(Self(sources))
    }

    /// Whether there are no headers.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Name and source of each header.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &HeaderSource)> {
        self.0.iter().map(|(name, source)| (&**name, source))
    }
}

/// Checks the name of a header and returns it in lower case.
fn read_name(name: &str) -> Result<String, String> {
    let parsed = HeaderName::try_from(name).map_err(|_| format!("`{name}` is no name of a header"))?;
    match OURS.contains(&parsed.as_str()) {
        true => Err(format!("`{name}` is set by the service itself; leave it out")),
        false => Ok(parsed.as_str().to_owned()),
    }
}

impl HeaderSource {
    fn read(cursor: &Cursor<'_, '_>, rules: &CredentialRules, refs: &CredentialRefs) -> Option<Self> {
        let Value::Str(text) = cursor.value() else {
            return Self::read_reference(cursor, rules, refs);
        };
        // Faults do not quote the value, which may be a secret.
        match HeaderValue::from_str(text) {
            Ok(mut value) if value.len() <= MAX_VALUE_BYTES => {
                value.set_sensitive(true);
                Some(Self::Literal(value))
            }
            Ok(value) => {
                cursor.fault(format!("{} bytes are more than {MAX_VALUE_BYTES}", value.len()));
                None
            }
            Err(_) => {
                cursor.fault("holds a character that no header can; leave it out");
                None
            }
        }
    }

    fn read_reference(
        cursor: &Cursor<'_, '_>,
        rules: &CredentialRules,
        refs: &CredentialRefs,
    ) -> Option<Self> {
        if cursor.value().as_map().is_none() {
            cursor.fault(format!(
                "expected a string, {{\"from_env\": NAME}} or {{\"credential_ref\": NAME}}, got {}",
                cursor.value().kind()
            ));
            return None;
        }
        let object = cursor.object(Spelling::SnakeOrCamel)?;
        let source = SecretSource::read_members(cursor, &object, rules, refs);
        let prefix = match source {
            Some(SecretSource::Credential(_)) => object.optional("prefix", |prefix| {
                let text = prefix.string()?;
                if !is_prefix(&text) {
                    prefix.fault(format!(
                        "is no prefix; expected at most {MAX_PREFIX_BYTES} of A-Z a-z 0-9 - _ = : and space"
                    ));
                }
                Some(text)
            }),
            _ => None,
        };
        object.refuse_unknown();
        Some(Self::Referred { prefix: prefix.unwrap_or_default(), source: source? })
    }
}

/// Whether a text may be the prefix of a credential: a scheme such as `Bearer `, too short to be a secret itself.
pub(crate) fn is_prefix(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_=: ".contains(&byte);
    text.len() <= MAX_PREFIX_BYTES && text.bytes().all(is_plain)
}

impl SecretSource {
    /// Reads `{"from_env": NAME}` or `{"credential_ref": NAME}`; a string, which would be the secret itself, is refused.
    pub fn read(cursor: &Cursor<'_, '_>, rules: &CredentialRules, refs: &CredentialRefs) -> Option<Self> {
        if let Value::Str(_) = cursor.value() {
            cursor.fault("a secret does not belong into a specification; refer to a credential: {\"credential_ref\": NAME}");
            return None;
        }
        let object = cursor.object(Spelling::SnakeOrCamel)?;
        let source = Self::read_members(cursor, &object, rules, refs);
        object.refuse_unknown();
        source
    }

    fn read_members(
        cursor: &Cursor<'_, '_>,
        object: &Object<'_, '_>,
        rules: &CredentialRules,
        refs: &CredentialRefs,
    ) -> Option<Self> {
        let variable = object.optional("from_env", |name| {
            let text = name.string()?;
            rules.check_variable(&text).map_err(|fault| name.fault(fault)).ok()?;
            Some(Self::Env(text))
        });
        let credential = object.optional("credential_ref", |name| {
            let text = name.string()?;
            refs.check(&text).map_err(|fault| name.fault(fault)).ok()?;
            Some(Self::Credential(text))
        });
        if object.has("from_env") == object.has("credential_ref") {
            cursor.fault("expected exactly one of `from_env` and `credential_ref`");
            return None;
        }
        variable.or(credential)
    }
}
