//! An evaluator as a configuration describes it.

use crate::json::Value;
use crate::metrics::catalog::Builtin;
use crate::metrics::trajectory::TrajectoryOptions;

/// One evaluator as written.
#[derive(Debug, Clone)]
pub struct EvaluatorSpec {
    /// Name, unique in the configuration.
    pub name: String,
    /// Lowest score that passes; `None` means 0.5.
    pub threshold: Option<f64>,
    /// Its kind and options.
    pub kind: SpecKind,
}

/// The kind of an evaluator.
#[derive(Debug, Clone)]
pub enum SpecKind {
    /// A metric of this program.
    Builtin {
        /// The metric.
        metric: Builtin,
        /// Options of the trajectory metric; other metrics ignore them.
        trajectory: TrajectoryOptions,
    },
    /// A program that speaks the evaluator protocol.
    Code(CodeSpec),
}

/// A program that speaks the evaluator protocol.
#[derive(Debug, Clone)]
pub struct CodeSpec {
    /// Path as written, relative to the configuration.
    pub path: String,
    /// Seconds after which it is killed.
    pub timeout_s: u64,
    /// Passed to it unchanged.
    pub config: Value<'static>,
    /// Names of environment variables that it may see in addition to the harmless ones.
    pub env: Vec<String>,
}

impl EvaluatorSpec {
    /// A metric of this program with default options.
    pub fn builtin(name: &str, metric: Builtin) -> Self {
        let kind = SpecKind::Builtin { metric, trajectory: TrajectoryOptions::default() };
        Self { name: name.to_owned(), threshold: None, kind }
    }
}

/// The code evaluators that a configuration may name, which depends on its author.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CodeRule {
    /// Any file, since the configuration is the user's own.
    Trusted,
    /// Files below the server's directory of evaluators, without access to its environment.
    BelowDirectory,
    /// None.
    Refused,
}
