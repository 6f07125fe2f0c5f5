//! Custom evaluators as processes of their own, and the step from what a configuration says to what can be run.

mod input;
mod process;
mod protocol;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

pub(crate) use input::EvaluationInput;
pub use process::ProcessEvaluator;

use crate::evaluation::config::{CodeRule, EvaluatorSpec, SpecKind};
use crate::evaluation::{Evaluator, EvaluatorKind};
use crate::metrics::catalog::DEFAULT_THRESHOLD;

/// Which code evaluators may run, and where their paths start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CodePolicy {
    /// Any; relative paths start here. For configurations that are the user's own.
    From(PathBuf),
    /// Those that are below this directory when they are run, links resolved. For requests.
    Below(PathBuf),
    /// None. For requests, when nothing else is said.
    Refused,
}

impl CodePolicy {
    /// What requests may run, given the server's directory of evaluators, if it has one.
    pub fn for_requests(directory: Option<PathBuf>) -> Self {
        directory.map_or(Self::Refused, Self::Below)
    }

    /// The rule by which configurations are checked before anything is run.
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
    /// In words: it does not exist or may not be run.
    fn resolve(&self, path: &Path) -> Result<PathBuf, String> {
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

/// Prepares an evaluator; that its script exists and may be run is checked when it is run, so that other metrics
/// still are.
pub fn build(spec: EvaluatorSpec, policy: &CodePolicy) -> Evaluator {
    let threshold = spec.threshold.unwrap_or(DEFAULT_THRESHOLD);
    let kind = match spec.kind {
        SpecKind::Builtin { metric, trajectory } => EvaluatorKind::Builtin { metric, trajectory },
        SpecKind::Code(code) => {
            let timeout = Duration::from_secs(code.timeout_s);
            let port =
                ProcessEvaluator::new(&*spec.name, code.path.into(), policy.clone(), timeout, code.env);
            EvaluatorKind::Custom { port: Arc::new(port), config: code.config }
        }
    };
    Evaluator { name: spec.name, threshold, kind }
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
