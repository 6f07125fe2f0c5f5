//! The one path from traces to a report; the command line, the service and the workers all call it.

pub mod config;
mod conversion;
mod observer;
mod report;
mod units;

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::{StreamExt, stream};
use rayon::prelude::*;

pub use conversion::{Converted, convert};
pub use observer::{Observer, UnitPlace};
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

/// Evaluates all traces and reports in the order in which their units were first seen; `None` if `is_stopped`, which
/// is asked before each unit, said that nobody wants the report any more.
///
/// Extraction and built-in metrics run in the current rayon pool before the first suspension point; only custom
/// evaluators are awaited. Dropping the future ends those that run.
pub async fn evaluate(
    traces: &[Trace<'_>],
    eval_set: Option<&EvalSet>,
    plan: &Plan,
    observer: &dyn Observer,
    is_stopped: &(dyn Fn() -> bool + Sync),
) -> Option<Report> {
    let units = units::group(traces, eval_set, plan.group_by);
    let total = units.len();
    observer.grouped(total);
    let cases = eval_set.map(CaseIndex::new);
    let draft = |(index, unit): (usize, &units::Unit<'_>)| {
        if is_stopped() {
            return (None, None);
        }
        let observed = Observed { observer, place: UnitPlace { index, total } };
        let (report, pending) = draft_unit(unit, cases.as_ref(), plan, observed);
        if pending.is_none() {
            observer.unit_done(observed.place, &report);
        }
        (Some(report), pending)
    };
    let spans: usize = traces.iter().map(|trace| trace.spans.len()).sum();
    let (reports, pending): (Vec<_>, Vec<_>) = match total > 1 && spans > PARALLEL_SPANS {
        true => units.par_iter().enumerate().map(draft).unzip(),
        false => units.iter().enumerate().map(draft).unzip(),
    };
    let mut reports = reports.into_iter().collect::<Option<Vec<_>>>()?;
    run_custom(&mut reports, &pending, plan, observer).await;
    let performance: Vec<_> = reports.iter().filter_map(|unit| unit.performance_metrics.as_ref()).collect();
    let performance = RunPerformance::of(&performance);
    Some(Report::new(reports, eval_set, performance, plan.lenient))
}

/// Who is told about a unit.
#[derive(Clone, Copy)]
struct Observed<'o> {
    observer: &'o dyn Observer,
    place: UnitPlace,
}

/// What custom evaluators, still to run, are given about a unit.
struct Pending<'e> {
    conversation: Conversation,
    /// What the matched case expects.
    expected: Option<&'e [ExpectedInvocation]>,
}

/// Computes the built-in metrics of a unit; the rest, if there is any, is pending.
fn draft_unit<'e>(
    unit: &units::Unit<'_>,
    cases: Option<&CaseIndex<'e>>,
    plan: &Plan,
    Observed { observer, place }: Observed<'_>,
) -> (UnitReport, Option<Pending<'e>>) {
    let conversation = extraction::extract(&unit.traces);
    let explicit_id = extraction::explicit_case_id(&unit.traces);
    let selected = cases.ok_or(NoMatch::NoEvalSet).and_then(|cases| {
        cases.select(&conversation.invocations, explicit_id.as_deref(), place.total == 1, plan.lenient)
    });
    let mut report = UnitReport::new(unit, &conversation, &selected);
    observer.extracted(place, &report, &conversation);
    if let Some(reason) = &conversation.emptiness {
        report.metrics = vec![MetricResult::failed("(all)", "NoInvocations", reason)];
        observer.metric_done(place, &report, 0);
        return (report, None);
    }
    let expected = selected.map(|(case, _)| &*case.conversation);
    for (at, evaluator) in plan.evaluators.iter().enumerate() {
        let EvaluatorKind::Builtin { metric, trajectory } = &evaluator.kind else {
            report.metrics.push(not_run(&evaluator.name)); // until `run_custom` has
            continue;
        };
        observer.metric_started(place, evaluator);
        let started = Instant::now();
        let result = run_builtin(evaluator, *metric, trajectory, &conversation, &expected, plan.lenient);
        report.metrics.push(MetricResult { duration_ms: milliseconds(started.elapsed()), ..result });
        observer.metric_done(place, &report, at);
    }
    let has_custom = plan.evaluators.iter().any(Evaluator::is_custom);
    let pending = has_custom.then(|| Pending { conversation, expected: expected.ok() });
    (report, pending)
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

/// Runs the custom evaluators, a bounded number at a time, and puts each result into the report of its unit.
async fn run_custom(
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
        (unit, at, MetricResult { duration_ms: milliseconds(started.elapsed()), ..result })
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
