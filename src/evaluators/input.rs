//! The one way from traces that were read to a report, for runs from the queue and for uploads alike.

use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::{CodePolicy, build};
use crate::eval_set::EvalSet;
use crate::evaluation::config::Parameters;
use crate::evaluation::{Observer, Plan, Report, Unmatched, evaluate};
use crate::trace::Loaded;

/// Traces, the golden that they are compared with, and how.
pub(crate) struct EvaluationInput<'a> {
    /// The traces, with all that could not be read of them.
    pub(crate) loaded: Loaded<'a>,
    /// The golden.
    pub(crate) eval_set: Option<&'a EvalSet>,
    /// How to evaluate.
    pub(crate) parameters: Parameters,
    /// Which code evaluators may run.
    pub(crate) code: &'a CodePolicy,
}

impl EvaluationInput<'_> {
    /// Evaluates on the calling thread, which may block; `None` when it was stopped before the end.
    ///
    /// Evaluators outside this program end as soon as `stop` is cancelled, built-in metrics after the unit they are
    /// at.
    pub(crate) fn evaluate(
        self,
        observer: &dyn Observer,
        stop: &CancellationToken,
        runtime: &Handle,
    ) -> Option<Report> {
        let Self { loaded, eval_set, parameters, code } = self;
        let lenient = parameters.lenient;
        let plan = Plan {
            evaluators: parameters.evaluators.into_iter().map(|spec| build(spec, code, lenient)).collect(),
            group_by: parameters.group_by,
            lenient,
            unmatched: Unmatched::default(),
            max_concurrent_evals: parameters.max_concurrent_evals,
        };
        let is_stopped = || stop.is_cancelled();
        let evaluation = evaluate(&loaded.traces, eval_set, &plan, observer, &is_stopped);
        let mut report = runtime.block_on(stop.run_until_cancelled(evaluation)).flatten()?;
        report.add_reading(loaded.errors.iter().map(ToString::to_string).collect(), loaded.warnings);
        Some(report)
    }
}
