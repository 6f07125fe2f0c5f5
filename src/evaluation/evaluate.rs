//! Groups traces, extracts and matches their conversations, and computes the metrics.

use std::collections::BTreeSet;
use std::time::Instant;

use rayon::prelude::*;

use super::custom::{Pending, not_run, run_custom};
use super::observer::{Observer, UnitPlace};
use super::plan::{Evaluator, EvaluatorKind, Plan};
use super::report::{Report, UnitReport};
use super::units;
use crate::eval_set::{CaseIndex, EvalSet, NoMatch};
use crate::extraction::{self, Conversation, performance::RunPerformance};
use crate::invocation::ExpectedInvocation;
use crate::json::Value;
use crate::json::checked::did_you_mean;
use crate::metrics::catalog::Builtin;
use crate::metrics::trajectory::{self, TrajectoryOptions};
use crate::metrics::{MetricResult, Turns, efficiency, response_match};
use crate::trace::{Trace, Warning};

/// Below this many spans in all, units are evaluated on the calling thread.
const PARALLEL_SPANS: usize = 256;

/// Evaluates all traces; the report has the units in the order in which each was first seen.
///
/// `is_stopped` is asked before each unit; once it answers true, the result is `None`.
///
/// Extraction and built-in metrics run in the current rayon pool before the first suspension point; only custom
/// evaluators are awaited. Dropping the future kills those that run.
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
    let mut report = Report::new(reports, eval_set, performance, plan);
    report.warnings.extend(eval_set.and_then(null_members_ignored));
    report.warnings.extend(unused_tool_rules(plan, eval_set, &report.traces));
    Some(report)
}

/// Warns of members that a later version of the schema may have, in one warning because each part may have them.
fn null_members_ignored(eval_set: &EvalSet) -> Option<Warning> {
    let first = eval_set.null_members.first()?;
    let count = eval_set.null_members.len();
    let text = format!(
        "{count} unknown members of the eval set are null and ignored; the first is `{}`",
        first.path
    );
    Some(Warning { code: "null_members_ignored", text })
}

/// Warns of rules for tools that neither the eval set nor the traces have: mistyped, they would change nothing, unseen.
fn unused_tool_rules(plan: &Plan, eval_set: Option<&EvalSet>, units: &[UnitReport]) -> Vec<Warning> {
    let mut rules = BTreeSet::new();
    for evaluator in &plan.evaluators {
        if let EvaluatorKind::Builtin { metric: Builtin::Trajectory, trajectory } = &evaluator.kind {
            rules.extend(trajectory.tools.keys().map(String::as_str));
        }
    }
    if rules.is_empty() {
        return Vec::new();
    }
    let performance = units.iter().filter_map(|unit| unit.performance_metrics.as_ref());
    let mut known: BTreeSet<&str> =
        performance.flat_map(|unit| &unit.tool_names).map(String::as_str).collect();
    let turns = eval_set.into_iter().flat_map(|set| &set.cases).flat_map(|case| &case.conversation);
    known.extend(turns.flat_map(|turn| &turn.tool_calls).map(|call| &*call.name));
    let unused = rules.difference(&known).map(|name| Warning {
        code: "tool_rule_unused",
        text: format!(
            "the rule for tool `{name}` applies to no call of the eval set or the traces{}",
            did_you_mean(name, known.iter().copied())
        ),
    });
    unused.collect()
}

/// The observer, and the place of the unit that it is told about.
#[derive(Clone, Copy)]
struct Observed<'o> {
    observer: &'o dyn Observer,
    place: UnitPlace,
}

/// Computes the built-in metrics of a unit; if the plan has custom evaluators, the unit is also pending.
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
            report.metrics.push(not_run(&evaluator.name)); // `run_custom` replaces it
            continue;
        };
        observer.metric_started(place, evaluator);
        let started = Instant::now();
        let result = run_builtin(evaluator, *metric, trajectory, &conversation, &expected, plan.lenient);
        report.metrics.push(result.timed(started.elapsed()));
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
            // The reference lists these metrics and always fails them.
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
