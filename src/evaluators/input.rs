//! The code path from loaded traces to a report, for runs of the queue and for uploads.

use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::{CodePolicy, build};
use crate::eval_set::EvalSet;
use crate::evaluation::config::Parameters;
use crate::evaluation::{Observer, Plan, Report, Unmatched, evaluate};
use crate::trace::Loaded;

/// The traces of an evaluation, its eval set and its configuration.
pub(crate) struct EvaluationInput<'a> {
    /// The traces, with errors and warnings of reading them.
    pub(crate) loaded: Loaded<'a>,
    /// The eval set.
    pub(crate) eval_set: Option<&'a EvalSet>,
    /// The configuration of the evaluation.
    pub(crate) parameters: Parameters,
    /// Code evaluators that may run.
    pub(crate) code: &'a CodePolicy,
}

impl EvaluationInput<'_> {
    /// Evaluates on the calling thread, which must allow blocking; `None` if it was stopped before the end.
    ///
    /// After `stop` is cancelled, evaluator processes are killed at once and built-in metrics end after the current unit.
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
