//! Evaluating what was read, for runs from the queue and for uploads alike.

use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use crate::eval_set::EvalSet;
use crate::evaluation::config::Parameters;
use crate::evaluation::{Observer, Plan, Report, evaluate};
use crate::evaluators::{CodePolicy, build};
use crate::trace::Loaded;

/// What is evaluated, against what, and how.
pub(super) struct Assessment<'a> {
    /// What was read of the traces.
    pub(super) loaded: Loaded<'a>,
    /// The golden.
    pub(super) eval_set: Option<&'a EvalSet>,
    /// How to evaluate.
    pub(super) parameters: Parameters,
    /// Which code evaluators may run.
    pub(super) code: &'a CodePolicy,
}

impl Assessment<'_> {
    /// Evaluates on the calling thread, which may block; `None` when it was stopped before the end.
    ///
    /// Evaluators outside this program end as soon as `stop` is cancelled, built-in metrics after the unit they are
    /// at.
    pub(super) fn run(
        self,
        observer: &dyn Observer,
        stop: &CancellationToken,
        runtime: &Handle,
    ) -> Option<Report> {
        let Self { loaded, eval_set, parameters, code } = self;
        let plan = Plan {
            evaluators: parameters.evaluators.into_iter().map(|spec| build(spec, code)).collect(),
            group_by: parameters.group_by,
            lenient: parameters.lenient,
            max_concurrent_evals: parameters.max_concurrent_evals,
        };
        let is_stopped = || stop.is_cancelled();
        let evaluation = evaluate(&loaded.traces, eval_set, &plan, observer, &is_stopped);
        let mut report = runtime.block_on(stop.run_until_cancelled(evaluation)).flatten()?;
        report.add_reading(loaded.errors.iter().map(ToString::to_string).collect(), loaded.warnings);
        Some(report)
    }
}
