//! Scores the behaviour of AI agents from OpenTelemetry traces that already exist.
pub mod cli;
pub mod eval_set;
pub mod evaluation;
pub mod evaluators;
pub mod extraction;
pub mod invocation;
pub mod json;
pub mod metrics;
pub mod trace;
