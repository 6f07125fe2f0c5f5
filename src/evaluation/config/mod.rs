//! The evaluation configuration: a YAML or JSON document that names evaluators, and the part of it that requests may
//! have.

mod evaluators;
mod file;
mod members;
mod parameters;
mod spec;

pub use file::{ConfigError, EvalConfig, OutputFormat};
pub use members::DEFAULT_CONCURRENT_EVALS;
pub use parameters::Parameters;
pub use spec::{CodeRule, CodeSpec, EvaluatorSpec, SpecKind};
