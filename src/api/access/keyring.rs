//! The tokens that a server knows, and reading their file again when it changes.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, timeout};
use tracing::{info, warn};

use super::token::{Token, find, parse_all};

/// How often the file is looked at, when requests come.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// How long a request waits for the file; what was read before holds then.
const PATIENCE: Duration = Duration::from_secs(1);

/// Largest file: thousands of tokens, all of which every request is compared with.
const MAX_BYTES: u64 = 1 << 20;

/// Why tokens cannot be used; nothing of the lines is repeated, since a token may be among them by mistake.
#[derive(Debug, thiserror::Error)]
pub enum TokensError {
    /// The file cannot be read.
    #[error("tokens file `{}`: {reason}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A line of the file is wrong.
    #[error("tokens file `{}`, line {line}: {fault}; `agentevals token` writes such lines", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// What is wrong.
        fault: &'static str,
    },
    /// An entry of the variable is wrong.
    #[error("AGENTEVALS_TOKENS, entry {entry}: {fault}; `agentevals token` writes such entries")]
    Entry {
        /// From 1.
        entry: usize,
        /// What is wrong.
        fault: &'static str,
    },
    /// The file is there to let somebody in, and lets nobody in.
    #[error("tokens file `{}` has no tokens; `agentevals token` makes one", .0.display())]
    Empty(PathBuf),
}

/// Whom the service knows. Clones share what they have read.
#[derive(Debug, Clone, Default)]
pub struct Tokens(Option<Arc<Keyring>>);

#[derive(Debug)]
struct Keyring {
    /// From the variable; these do not change.
    fixed: Vec<Token>,
    file: Option<PathBuf>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// All that hold now.
    tokens: Arc<[Token]>,
    /// What the last look at the file found: its text, or why there was none.
    seen: Result<String, String>,
    look_at: Instant,
    /// So that a file system that hangs costs one thread.
    is_being_read: bool,
}

impl Tokens {
    /// Those of a file, which is watched, and those of a text whose entries are separated by line ends or `;`.
    ///
    /// # Errors
    /// The file cannot be read or has none, or a line is wrong.
    pub fn load(file: Option<PathBuf>, entries: Option<&str>) -> Result<Self, TokensError> {
        let fixed = parse_all(entries.unwrap_or_default(), &['\n', ';']);
        let fixed = fixed.map_err(|(entry, fault)| TokensError::Entry { entry, fault })?;
        if file.is_none() && fixed.is_empty() {
            return Ok(Self::default());
        }
        let text = file.as_deref().map_or(Ok(String::new()), read)?;
        let tokens = file.as_deref().map_or(Ok(Vec::new()), |path| parse(path, &text))?;
        let tokens = fixed.iter().cloned().chain(tokens).collect();
        let look_at = Instant::now() + LOOK_EVERY;
        let state = State { tokens, seen: Ok(text), look_at, is_being_read: false };
        Ok(Self(Some(Arc::new(Keyring { fixed, file, state: Mutex::new(state) }))))
    }

    /// Whether a token has to be shown.
    pub fn are_required(&self) -> bool {
        self.0.is_some()
    }

    /// The token that was shown, if it is known.
    pub(super) async fn find(&self, shown: &str) -> Option<Token> {
        let keyring = self.0.as_ref()?;
        keyring.look_again().await;
        let tokens = keyring.state().tokens.clone();
        find(&tokens, shown).cloned()
    }
}

impl Keyring {
    fn state(&self) -> MutexGuard<'_, State> {
        // Whole at any time: it is changed by single assignments.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has the file looked at if it is time to; waits for that, but not for long.
    async fn look_again(self: &Arc<Self>) {
        let Some(path) = self.due() else { return };
        let keyring = self.clone();
        let looking = tokio::task::spawn_blocking(move || keyring.read_again(&path));
        if timeout(PATIENCE, looking).await.is_err() {
            warn!("the file of tokens could not be read in time; what was read before holds");
        }
    }

    /// The file, if it is time to look at it, which is then up to the caller.
    fn due(&self) -> Option<PathBuf> {
        let path = self.file.as_ref()?;
        let mut state = self.state();
        if state.is_being_read || Instant::now() < state.look_at {
            return None;
        }
        state.is_being_read = true;
        Some(path.clone())
    }

    /// Takes over what the file says by now; one that is faulty changes nothing, and is told of once.
    fn read_again(&self, path: &Path) {
        let seen = read(path).map_err(|error| error.to_string());
        let mut state = self.state();
        state.is_being_read = false;
        state.look_at = Instant::now() + LOOK_EVERY;
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
        tokio::time::advance(LOOK_EVERY).await;
        assert!(knows(&tokens, "new").await && !knows(&tokens, "old").await && knows(&tokens, "fixed").await);
        for faulty in [Some("nonsense"), Some("# nobody"), None] {
            match faulty {
                Some(text) => fs::write(&path, text).unwrap(),
                None => fs::remove_file(&path).unwrap(),
            }
            tokio::time::advance(LOOK_EVERY).await;
            assert!(knows(&tokens, "new").await && !knows(&tokens, "nonsense").await, "{faulty:?}");
        }
        fs::write(&path, line("newer")).unwrap();
        tokio::time::advance(LOOK_EVERY).await;
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
