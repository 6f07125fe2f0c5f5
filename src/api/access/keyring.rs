//! The tokens that the server accepts. Their file is read again when it changes.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, timeout};
use tracing::{info, warn};

use super::token::{Token, find, parse_all};

/// Shortest time between two reads of the file, which only requests cause.
const READ_EVERY: Duration = Duration::from_secs(2);

/// Longest wait of a request for the file; afterwards the tokens read before stay valid.
const PATIENCE: Duration = Duration::from_secs(1);

/// Largest file: room for thousands of tokens. Every request is compared with all of them.
const MAX_BYTES: u64 = 1 << 20;

/// Why tokens cannot be used. Messages quote nothing of the lines, which may hold a token by mistake.
#[derive(Debug, thiserror::Error)]
pub enum TokensError {
    /// The file cannot be read.
    #[error("tokens file `{}`: {reason}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The cause.
        reason: String,
    },
    /// A line of the file is wrong.
    #[error("tokens file `{}`, line {line}: {fault}; `agentevals token` writes such lines", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// Number of the line, from 1.
        line: usize,
        /// The fault, in a clause.
        fault: &'static str,
    },
    /// An entry of the variable is wrong.
    #[error("AGENTEVALS_TOKENS, entry {entry}: {fault}; `agentevals token` writes such entries")]
    Entry {
        /// Number of the entry, from 1.
        entry: usize,
        /// The fault, in a clause.
        fault: &'static str,
    },
    /// The file has no tokens, so that nobody could use the service.
    #[error("tokens file `{}` has no tokens; `agentevals token` makes one", .0.display())]
    Empty(PathBuf),
}

/// The tokens that the service accepts. Clones share the tokens read.
#[derive(Debug, Clone, Default)]
pub struct Tokens(Option<Arc<Keyring>>);

#[derive(Debug)]
struct Keyring {
    /// Tokens of the variable; these do not change.
    fixed: Vec<Token>,
    file: Option<PathBuf>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// All valid tokens.
    tokens: Arc<[Token]>,
    /// The text of the file at the last read, or why it could not be read.
    seen: Result<String, String>,
    /// When the file is to be read next.
    read_at: Instant,
    /// Whether a thread reads the file: of a file system that hangs, only one thread waits.
    is_being_read: bool,
}

impl Tokens {
    /// Reads the tokens of a file, which is read again when it changes, and those of `entries`, which are separated by
    /// line ends or `;`.
    ///
    /// # Errors
    /// The file cannot be read or has no tokens, or a line is malformed.
    pub fn load(file: Option<PathBuf>, entries: Option<&str>) -> Result<Self, TokensError> {
        let fixed = parse_all(entries.unwrap_or_default(), &['\n', ';']);
        let fixed = fixed.map_err(|(entry, fault)| TokensError::Entry { entry, fault })?;
        if file.is_none() && fixed.is_empty() {
            return Ok(Self::default());
        }
        let text = file.as_deref().map_or(Ok(String::new()), read)?;
        let tokens = file.as_deref().map_or(Ok(Vec::new()), |path| parse(path, &text))?;
        let tokens = fixed.iter().cloned().chain(tokens).collect();
        let read_at = Instant::now() + READ_EVERY;
        let state = State { tokens, seen: Ok(text), read_at, is_being_read: false };
        Ok(Self(Some(Arc::new(Keyring { fixed, file, state: Mutex::new(state) }))))
    }

    /// Whether requests need a token.
    pub fn are_required(&self) -> bool {
        self.0.is_some()
    }

    /// The valid token with this secret, if there is one.
    pub(super) async fn find(&self, secret: &str) -> Option<Token> {
        let keyring = self.0.as_ref()?;
        keyring.reread_if_due().await;
        let tokens = keyring.state().tokens.clone();
        find(&tokens, secret).cloned()
    }
}

impl Keyring {
    fn state(&self) -> MutexGuard<'_, State> {
        // A panic cannot leave the state half changed: every change is a single assignment.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads the file again if it is time to, and waits for that up to [`PATIENCE`].
    async fn reread_if_due(self: &Arc<Self>) {
        let Some(path) = self.due() else { return };
        let keyring = self.clone();
        let reading = tokio::task::spawn_blocking(move || keyring.read_again(&path));
        if timeout(PATIENCE, reading).await.is_err() {
            warn!("the file of tokens could not be read in time; using the tokens read before");
        }
    }

    /// The file, if it is time to read it; marks it as being read, which the caller then has to do.
    fn due(&self) -> Option<PathBuf> {
        let path = self.file.as_ref()?;
        let mut state = self.state();
        if state.is_being_read || Instant::now() < state.read_at {
            return None;
        }
        state.is_being_read = true;
        Some(path.clone())
    }

    /// Reads the file and replaces the tokens. A faulty file changes nothing, and is logged once.
    fn read_again(&self, path: &Path) {
        let seen = read(path).map_err(|error| error.to_string());
        let mut state = self.state();
        state.is_being_read = false;
        state.read_at = Instant::now() + READ_EVERY;
        if state.seen == seen {
            return;
        }
        let tokens = match &seen {
            Ok(text) => parse(path, text).map_err(|error| error.to_string()),
            Err(reason) => Err(reason.clone()),
        };
        state.seen = seen;
        match tokens {
            Ok(tokens) => {
                info!(tokens = tokens.len(), "read {} tokens from `{}`", tokens.len(), path.display());
                state.tokens = self.fixed.iter().cloned().chain(tokens).collect();
            }
            Err(error) => warn!("the tokens read before still hold: {error}"),
        }
    }
}

fn read(path: &Path) -> Result<String, TokensError> {
    let unreadable = |reason: String| TokensError::Unreadable { path: path.to_owned(), reason };
    let file = File::open(path).map_err(|error| unreadable(error.to_string()))?;
    let mut text = String::new();
    let read = file.take(MAX_BYTES + 1).read_to_string(&mut text);
    match read.map_err(|error| unreadable(error.to_string()))? as u64 {
        0..=MAX_BYTES => Ok(text),
        _ => Err(unreadable(format!("it has more than {MAX_BYTES} bytes"))),
    }
}

fn parse(path: &Path, text: &str) -> Result<Vec<Token>, TokensError> {
    let tokens = parse_all(text, &['\n']);
    let tokens = tokens.map_err(|(line, fault)| TokensError::Line { path: path.to_owned(), line, fault })?;
    if tokens.is_empty() {
        return Err(TokensError::Empty(path.to_owned()));
    }
    Ok(tokens)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::api::access::Scope;

    fn line(token: &str) -> String {
        Token::new(token, vec![Scope::Admin], token).to_string()
    }

    async fn knows(tokens: &Tokens, token: &str) -> bool {
        tokens.find(token).await.is_some()
    }

    #[tokio::test(start_paused = true)]
    async fn a_file_that_changes_is_read_again_and_a_faulty_one_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens");
        fs::write(&path, line("old")).unwrap();
        let tokens = Tokens::load(Some(path.clone()), Some(&line("fixed"))).unwrap();
        assert!(knows(&tokens, "old").await && knows(&tokens, "fixed").await);
        // Not looked at before the time has come.
        fs::write(&path, line("new")).unwrap();
        assert!(knows(&tokens, "old").await && !knows(&tokens, "new").await);
        tokio::time::advance(READ_EVERY).await;
        assert!(knows(&tokens, "new").await && !knows(&tokens, "old").await && knows(&tokens, "fixed").await);
        for faulty in [Some("nonsense"), Some("# nobody"), None] {
            match faulty {
                Some(text) => fs::write(&path, text).unwrap(),
                None => fs::remove_file(&path).unwrap(),
            }
            tokio::time::advance(READ_EVERY).await;
            assert!(knows(&tokens, "new").await && !knows(&tokens, "nonsense").await, "{faulty:?}");
        }
        fs::write(&path, line("newer")).unwrap();
        tokio::time::advance(READ_EVERY).await;
        assert!(knows(&tokens, "newer").await && !knows(&tokens, "new").await);
    }

    #[test]
    fn entries_of_the_variable_are_separated_by_lines_or_semicolons() {
        let entries = format!("{}; {}\n{}", line("a"), line("b"), line("c"));
        let tokens = Tokens::load(None, Some(&entries)).unwrap();
        assert_eq!(tokens.0.unwrap().fixed.len(), 3);
        assert!(!Tokens::load(None, Some(" ; # nobody\n")).unwrap().are_required());
        let error = Tokens::load(None, Some(&format!("{};aev_secret", line("a")))).unwrap_err().to_string();
        assert!(error.starts_with("AGENTEVALS_TOKENS, entry 2: ") && !error.contains("secret"), "{error}");
    }

    #[test]
    fn a_file_that_lets_nobody_in_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens");
        let refused = |what: &str| {
            let error = Tokens::load(Some(path.clone()), None).unwrap_err().to_string();
            assert!(error.contains(what) && error.contains("tokens`"), "{error}");
        };
        refused("No such file");
        fs::write(&path, "# later\n").unwrap();
        refused("has no tokens");
        fs::write(&path, format!("\n{} oops\n", line("a"))).unwrap();
        refused("line 2");
        fs::write(&path, vec![b'\n'; MAX_BYTES as usize + 1]).unwrap();
        refused("more than");
        fs::write(&path, b"\xff").unwrap();
        refused("UTF-8");
    }
}
