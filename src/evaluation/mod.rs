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

impl Evaluator {
    /// Whether something else than this program computes it.
    pub fn is_custom(&self) -> bool {
        matches!(self.kind, EvaluatorKind::Custom { .. })
    }
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
        if draft.conversation.is_none() {
            progress(units.len());
        }
        draft
    };
    let spans: usize = traces.iter().map(|trace| trace.spans.len()).sum();
    let mut drafts: Vec<Draft<'_>> = match units.len() > 1 && spans > PARALLEL_SPANS {
        true => units.par_iter().map(draft).collect(),
        false => units.iter().map(draft).collect(),
    };
    for (unit, evaluator, result) in run_custom(&drafts, plan, progress).await {
        drafts[unit].report.metrics[evaluator] = result;
    }
    let units: Vec<UnitReport> = drafts.into_iter().map(|draft| draft.report).collect();
    let performance: Vec<_> = units.iter().filter_map(|unit| unit.performance_metrics.as_ref()).collect();
    let performance = RunPerformance::of(&performance);
    Report::new(units, eval_set, performance, plan.lenient)
}

/// A unit whose built-in metrics are done.
struct Draft<'e> {
    report: UnitReport,
    /// Kept for the custom evaluators still to run, if there are any.
    conversation: Option<Conversation>,
    /// What the matched case expects.
    expected: Option<&'e [ExpectedInvocation]>,
}

fn draft_unit<'e>(
    unit: &units::Unit<'_>,
    cases: Option<&CaseIndex<'e>>,
    single_unit: bool,
    plan: &Plan,
) -> Draft<'e> {
    let conversation = extraction::extract(&unit.traces);
    let explicit_id = extraction::explicit_case_id(&unit.traces);
    let selected = cases.ok_or(NoMatch::NoEvalSet).and_then(|cases| {
        cases.select(&conversation.invocations, explicit_id.as_deref(), single_unit, plan.lenient)
    });
    let mut report = UnitReport::new(unit, &conversation, &selected);
    if let Some(reason) = &conversation.emptiness {
        report.metrics = vec![MetricResult::failed("(all)", "NoInvocations", reason)];
        return Draft { report, conversation: None, expected: None };
    }
    let expected = selected.map(|(case, _)| &*case.conversation);
    for evaluator in &plan.evaluators {
        let started = Instant::now();
        let mut result = match &evaluator.kind {
            EvaluatorKind::Builtin { metric, trajectory } => {
                run_builtin(evaluator, *metric, trajectory, &conversation, &expected, plan.lenient)
            }
            EvaluatorKind::Custom { .. } => not_run(&evaluator.name), // until `run_custom` has
        };
        result.duration_ms = milliseconds(started.elapsed());
        report.metrics.push(result);
    }
    let has_custom = plan.evaluators.iter().any(Evaluator::is_custom);
    Draft { report, conversation: has_custom.then_some(conversation), expected: expected.ok() }
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

/// Runs the custom evaluators, a bounded number at a time; answers unit, evaluator and result.
async fn run_custom(
    drafts: &[Draft<'_>],
    plan: &Plan,
    progress: &(dyn Fn(usize) + Sync),
) -> Vec<(usize, usize, MetricResult)> {
    let evaluators = plan.evaluators.iter().enumerate();
    let custom: Vec<usize> = evaluators.filter(|(_, e)| e.is_custom()).map(|(index, _)| index).collect();
    let units = drafts.iter().enumerate().filter(|(_, draft)| draft.conversation.is_some());
    let jobs = units.flat_map(|(unit, _)| custom.iter().map(move |index| (unit, *index)));
    let runs = jobs.map(|(unit, index)| async move {
        let (draft, Evaluator { name, threshold, kind }) = (&drafts[unit], &plan.evaluators[index]);
        let started = Instant::now();
        let result = match (kind, &draft.conversation) {
            (EvaluatorKind::Custom { port, config }, Some(Conversation { invocations, performance, .. })) => {
                let input =
                    EvaluatorInput::new(name, *threshold, config, invocations, performance, draft.expected);
                custom::into_result(name, *threshold, port.evaluate(&input).await)
            }
            _ => not_run(name),
        };
        (unit, index, MetricResult { duration_ms: milliseconds(started.elapsed()), ..result })
    });
    let mut left = vec![custom.len(); drafts.len()];
    let mut running = stream::iter(runs).buffer_unordered(plan.max_concurrent_evals.max(1));
    let mut results = Vec::new();
    while let Some(result) = running.next().await {
        left[result.0] -= 1;
        if left[result.0] == 0 {
            progress(drafts.len());
        }
        results.push(result);
    }
    results
}

fn not_run(name: &str) -> MetricResult {
    MetricResult::failed(name, "EvaluatorNotRun", "the evaluator did not run")
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
