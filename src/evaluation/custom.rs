//! Runs the custom evaluators of a plan.

use std::time::Instant;

use futures_util::{StreamExt, stream};

use super::observer::{Observer, UnitPlace};
use super::plan::{Evaluator, EvaluatorKind, Plan};
use super::report::UnitReport;
use crate::extraction::Conversation;
use crate::invocation::ExpectedInvocation;
use crate::metrics::MetricResult;
use crate::metrics::custom::{self, EvaluatorInput};

/// A unit whose custom evaluators are still to run.
pub(super) struct Pending<'e> {
    pub(super) conversation: Conversation,
    /// The expected turns of the matched case.
    pub(super) expected: Option<&'e [ExpectedInvocation]>,
}

/// Runs the custom evaluators, a bounded number at a time, and puts each result into the report of its unit.
pub(super) async fn run_custom(
    reports: &mut [UnitReport],
    pending: &[Option<Pending<'_>>],
    plan: &Plan,
    observer: &dyn Observer,
) {
    let total = pending.len();
    let evaluators = plan.evaluators.iter().enumerate();
    let custom: Vec<_> = evaluators.filter(|(_, evaluator)| evaluator.is_custom()).collect();
    let units = pending.iter().enumerate().filter_map(|(unit, pending)| Some((unit, pending.as_ref()?)));
    let jobs =
        units.flat_map(|(unit, pending)| custom.iter().map(move |(at, job)| (unit, pending, *at, *job)));
    let runs = jobs.map(|(unit, pending, at, evaluator)| async move {
        observer.metric_started(UnitPlace { index: unit, total }, evaluator);
        let started = Instant::now();
        let result = run_one_custom(evaluator, pending).await;
        (unit, at, result.timed(started.elapsed()))
    });
    let mut left = vec![custom.len(); pending.len()];
    let mut running = stream::iter(runs).buffer_unordered(plan.max_concurrent_evals.max(1));
    while let Some((unit, at, result)) = running.next().await {
        let place = UnitPlace { index: unit, total };
        reports[unit].metrics[at] = result;
        observer.metric_done(place, &reports[unit], at);
        left[unit] -= 1;
        if left[unit] == 0 {
            observer.unit_done(place, &reports[unit]);
        }
    }
}

async fn run_one_custom(evaluator: &Evaluator, pending: &Pending<'_>) -> MetricResult {
    let Evaluator { name, threshold, kind } = evaluator;
    let EvaluatorKind::Custom { port, config } = kind else {
        return not_run(name);
    };
    let Conversation { invocations, performance, .. } = &pending.conversation;
    let input = EvaluatorInput::new(name, *threshold, config, invocations, performance, pending.expected);
    custom::into_result(name, *threshold, port.evaluate(&input).await)
}

/// Stands in for the result of an evaluator until it has run.
pub(super) fn not_run(name: &str) -> MetricResult {
    MetricResult::failed(name, "EvaluatorNotRun", "the evaluator did not run")
}
