//! Code evaluators, which run as processes of their own; makes the evaluators of a plan from those of a configuration.

mod input;
mod policy;
mod process;
mod protocol;

use std::sync::Arc;
use std::time::Duration;

pub(crate) use input::EvaluationInput;
pub use policy::CodePolicy;
pub use process::ProcessEvaluator;

use crate::evaluation::config::{EvaluatorSpec, SpecKind};
use crate::evaluation::{Evaluator, EvaluatorKind};
use crate::metrics::catalog::DEFAULT_THRESHOLD;

/// Makes the evaluator that a configuration describes. A missing or forbidden script fails only when it runs, so that
/// the other metrics are still computed.
pub fn build(spec: EvaluatorSpec, policy: &CodePolicy, lenient: bool) -> Evaluator {
    let default = match &spec.kind {
        SpecKind::Builtin { metric, .. } => metric.default_threshold(lenient),
        SpecKind::Code(_) => DEFAULT_THRESHOLD,
    };
    let threshold = spec.threshold.unwrap_or(default);
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
