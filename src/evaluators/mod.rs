//! Custom evaluators as processes of their own.

mod process;
mod protocol;

pub use process::ProcessEvaluator;
