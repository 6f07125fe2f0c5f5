//! The one path from traces to a report; the command line, the service and the workers all call it.

pub mod config;
mod report;
mod units;

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::{StreamExt, stream};
use rayon::prelude::*;

pub use report::{Report, TurnRef, UnitReport, Verdict};
pub use units::GroupBy;

use crate::eval_set::{CaseIndex, EvalSet, NoMatch};
use crate::extraction::{self, Conversation, performance::RunPerformance};
use crate::invocation::ExpectedInvocation;
use crate::json::Value;
use crate::metrics::catalog::Builtin;
use crate::metrics::custom::{self, CustomEvaluator, EvaluatorInput};
use crate::metrics::trajectory::TrajectoryOptions;
use crate::metrics::{MetricResult, Turns, efficiency, response_match, trajectory};
use crate::trace::{Trace, Warning, Warnings};

/// What to evaluate and how.
#[derive(Clone)]
pub struct Plan {
    /// The metrics, in the order of the results.
    pub evaluators: Vec<Evaluator>,
    /// What is evaluated together.
    pub group_by: GroupBy,
    /// Score like the reference, where the default is stricter.
    pub lenient: bool,
    /// How many custom evaluators run at the same time.
    pub max_concurrent_evals: usize,
}

/// One metric of a plan.
#[derive(Clone)]
pub struct Evaluator {
    /// Name in the results.
    pub name: String,
    /// Score from which it passes.
    pub threshold: f64,
    /// What computes it.
    pub kind: EvaluatorKind,
}

/// What computes a metric.
#[derive(Clone)]
pub enum EvaluatorKind {
    /// This program.
    Builtin {
        /// Which metric.
        metric: Builtin,
        /// For the trajectory metric.
        trajectory: TrajectoryOptions,
    },
    /// Something else.
    Custom {
        /// How it is reached.
        port: Arc<dyn CustomEvaluator>,
        /// Passed to it as it is.
        config: Value<'static>,
    },
}

/// Below this many spans in all, units are evaluated on the calling thread.
const PARALLEL_SPANS: usize = 256;

/// Evaluates all traces and reports in the order in which their units were first seen.
///
/// `progress` is called with the number of units, once for each that is done, possibly from several threads.
/// Extraction and built-in metrics run in the current rayon pool before the first suspension point; only custom
/// evaluators are awaited. Dropping the future ends those that run.
pub async fn evaluate(
    traces: &[Trace<'_>],
    eval_set: Option<&EvalSet>,
    plan: &Plan,
    progress: &(dyn Fn(usize) + Sync),
) -> Report {
    let units = units::group(traces, eval_set, plan.group_by);
    let single_unit = units.len() == 1;
    let cases = eval_set.map(CaseIndex::new);
    let draft = |unit: &units::Unit<'_>| {
        let draft = draft_unit(unit, cases.as_ref(), single_unit, plan);
        if draft.pending.is_empty() {
            progress(units.len());
        }
        draft
    };
    let spans: usize = traces.iter().map(|trace| trace.spans.len()).sum();
    let mut drafts: Vec<Draft> = match units.len() > 1 && spans > PARALLEL_SPANS {
        true => units.par_iter().map(draft).collect(),
        false => units.iter().map(draft).collect(),
    };
    run_custom(&mut drafts, plan, progress).await;
    let units: Vec<UnitReport> = drafts.into_iter().map(|draft| draft.report).collect();
    let performance: Vec<_> = units.iter().filter_map(|unit| unit.performance_metrics.as_ref()).collect();
    let performance = RunPerformance::of(&performance);
    Report::new(units, eval_set, performance, plan.lenient)
}

/// A unit whose built-in metrics are done.
struct Draft {
    report: UnitReport,
    /// The custom evaluators still to run, by index into the plan, and what each is given.
    pending: Vec<(usize, EvaluatorInput)>,
}

fn draft_unit(
    unit: &units::Unit<'_>,
    cases: Option<&CaseIndex<'_>>,
    single_unit: bool,
    plan: &Plan,
) -> Draft {
    let conversation = extraction::extract(&unit.traces);
    let explicit_id = extraction::explicit_case_id(&unit.traces);
    let selected = cases.ok_or(NoMatch::NoEvalSet).and_then(|cases| {
        cases.select(&conversation.invocations, explicit_id.as_deref(), single_unit, plan.lenient)
    });
    let mut report = UnitReport::new(unit, &conversation, &selected);
    if let Some(reason) = &conversation.emptiness {
        report.metrics = vec![MetricResult::failed("(all)", "NoInvocations", reason)];
        return Draft { report, pending: Vec::new() };
    }
    let expected = selected.map(|(case, _)| &*case.conversation);
    let mut pending = Vec::new();
    for (index, evaluator) in plan.evaluators.iter().enumerate() {
        let started = Instant::now();
        let mut result = match &evaluator.kind {
            EvaluatorKind::Builtin { metric, trajectory } => {
                run_builtin(evaluator, *metric, trajectory, &conversation, &expected, plan.lenient)
            }
            EvaluatorKind::Custom { config, .. } => {
                let input = EvaluatorInput::new(
                    &evaluator.name,
                    evaluator.threshold,
                    config,
                    &conversation.invocations,
                    &conversation.performance,
                    expected.as_ref().ok().copied(),
                );
                pending.push((index, input));
                MetricResult::failed(&evaluator.name, "EvaluatorNotRun", "the evaluator did not run")
            }
        };
        result.duration_ms = milliseconds(started.elapsed());
        report.metrics.push(result);
    }
    Draft { report, pending }
}

fn run_builtin(
    evaluator: &Evaluator,
    metric: Builtin,
    trajectory: &TrajectoryOptions,
    conversation: &Conversation,
    expected: &Result<&[ExpectedInvocation], NoMatch>,
    lenient: bool,
) -> MetricResult {
    let (name, threshold) = (&*evaluator.name, evaluator.threshold);
    let turns = |expected| Turns { actual: &conversation.invocations, expected, lenient };
    match (metric, expected) {
        (Builtin::Efficiency(_), expected) if lenient => {
            // The reference lists these metrics and always refuses them.
            let error =
                format!("`{name}` has no score in the reference; run without --lenient to measure it");
            let mismatch = expected.as_ref().ok().and_then(|expected| turns(expected).mismatch());
            let details = mismatch.map(Value::object);
            MetricResult { details, ..MetricResult::failed(name, "NotInReference", error) }
        }
        (Builtin::Efficiency(metric), _) => efficiency::evaluate(name, metric, &conversation.invocations),
        (_, Err(no_match)) => MetricResult::not_evaluated(name, no_match.to_string()),
        (Builtin::Trajectory, Ok(expected)) => {
            trajectory::evaluate(name, turns(expected), trajectory, threshold)
        }
        (Builtin::ResponseMatch, Ok(expected)) => response_match::evaluate(name, turns(expected), threshold),
    }
}

/// Runs what the drafts left pending, a bounded number at a time, and files the results.
async fn run_custom(drafts: &mut [Draft], plan: &Plan, progress: &(dyn Fn(usize) + Sync)) {
    let mut left: Vec<usize> = drafts.iter().map(|draft| draft.pending.len()).collect();
    let mut jobs = Vec::new();
    for (unit, draft) in drafts.iter_mut().enumerate() {
        jobs.extend(draft.pending.drain(..).map(|(index, input)| (unit, index, input)));
    }
    let runs = jobs.into_iter().map(|(unit, index, input)| async move {
        let evaluator = &plan.evaluators[index];
        let EvaluatorKind::Custom { port, .. } = &evaluator.kind else {
            return (unit, index, None);
        };
        let started = Instant::now();
        let answer = port.evaluate(&input).await;
        let mut result = custom::into_result(&evaluator.name, evaluator.threshold, answer);
        result.duration_ms = milliseconds(started.elapsed());
        (unit, index, Some(result))
    });
    let mut results = stream::iter(runs).buffer_unordered(plan.max_concurrent_evals.max(1));
    while let Some((unit, index, result)) = results.next().await {
        if let Some(result) = result {
            drafts[unit].report.metrics[index] = result;
        }
        left[unit] -= 1;
        if left[unit] == 0 {
            progress(drafts.len());
        }
    }
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// The warnings about how a unit was matched with its case.
fn match_warnings(conversation: &Conversation, selected: &units::Selected<'_>) -> Vec<Warning> {
    let mut warnings = Warnings::default();
    let first = conversation.invocations.first().and_then(|turn| turn.user_text.as_deref());
    if let (Ok((case, crate::eval_set::CaseMatch::SingleCase)), Some(first)) = (selected, first) {
        let text = format!(
            "matched with `{}` only because there is one case and one conversation; their first user texts \
             differ: {first:?} is not {:?}",
            case.id,
            case.conversation[0].user_text()
        );
        warnings.push("case_text_differs", text);
    }
    warnings.to_vec()
}
