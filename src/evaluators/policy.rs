//! Which code evaluators may run.

use std::path::{Path, PathBuf};

use crate::evaluation::config::CodeRule;

/// The code evaluators that may run, and the directory that their paths are relative to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CodePolicy {
    /// Any file; paths are relative to this directory. For configurations that are the user's own.
    From(PathBuf),
    /// Files below this directory; symbolic links are resolved each time, so that a later link cannot lead out. For
    /// requests.
    Below(PathBuf),
    /// None. The default for requests.
    Refused,
}

impl CodePolicy {
    /// The policy for requests, given the server's directory of evaluators, if it has one.
    pub fn for_requests(directory: Option<PathBuf>) -> Self {
        directory.map_or(Self::Refused, Self::Below)
    }

    /// The rule by which configurations are checked before anything runs.
    pub fn rule(&self) -> CodeRule {
        match self {
            Self::From(_) => CodeRule::Trusted,
            Self::Below(_) => CodeRule::BelowDirectory,
            Self::Refused => CodeRule::Refused,
        }
    }

    /// Finds the script to run.
    ///
    /// # Errors
    /// A message: the script does not exist or may not run.
    pub(super) fn resolve(&self, path: &Path) -> Result<PathBuf, String> {
        let canonical = |path: &Path| {
            std::fs::canonicalize(path).map_err(|error| format!("`{}`: {error}", path.display()))
        };
        match self {
            Self::From(directory) => canonical(&directory.join(path)),
            Self::Below(directory) => {
                let script = canonical(&directory.join(path))?;
                match script.starts_with(canonical(directory)?) {
                    true => Ok(script),
                    false => Err(format!(
                        "`{}` leads out of the directory of evaluators; put the script below it",
                        path.display()
                    )),
                }
            }
            Self::Refused => {
                Err("code evaluators are refused: there is no directory of evaluators here".to_owned())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_must_lie_below_the_directory_links_resolved() {
        let folder = tempfile::tempdir().unwrap();
        let inside = folder.path().join("evaluators");
        std::fs::create_dir(&inside).unwrap();
        std::fs::write(inside.join("mine.py"), "").unwrap();
        std::fs::write(folder.path().join("other.py"), "").unwrap();
        std::os::unix::fs::symlink("../other.py", inside.join("link.py")).unwrap();
        let policy = CodePolicy::Below(inside.clone());
        assert!(policy.resolve(Path::new("./mine.py")).is_ok());
        for path in ["link.py", "../other.py", "/etc/passwd"] {
            assert!(policy.resolve(Path::new(path)).unwrap_err().contains("leads out"), "{path}");
        }
        assert!(policy.resolve(Path::new("none.py")).unwrap_err().contains("No such file"));
        assert!(CodePolicy::From(inside).resolve(Path::new("link.py")).is_ok());
        assert!(CodePolicy::Refused.resolve(Path::new("mine.py")).is_err());
    }
}
