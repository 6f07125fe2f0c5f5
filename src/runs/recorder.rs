//! Turns the reports of evaluations into stored results and summaries.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::value::{RawValue, to_raw_value};

use super::result::{EvaluatorType, MetricSummary, ResultCounts, ResultRecord, ResultStatus, Summary};
use crate::evaluation::config::{EvaluatorSpec, SpecKind};
use crate::evaluation::{Report, UnitReport};
use crate::metrics::{EvalStatus, MetricResult};
use crate::spec::storable;

/// Makes the result records of evaluation units.
pub(crate) struct Recorder {
    types: HashMap<String, EvaluatorType>,
}

impl Recorder {
    /// A recorder for runs of these evaluators.
    pub(crate) fn new(evaluators: &[EvaluatorSpec]) -> Self {
        let kind = |spec: &EvaluatorSpec| match spec.kind {
            SpecKind::Builtin { .. } => EvaluatorType::Builtin,
            SpecKind::Code(_) => EvaluatorType::Code,
        };
        Self { types: evaluators.iter().map(|spec| (spec.name.clone(), kind(spec))).collect() }
    }

    /// The results of the unit at this index; places count over all units of the run.
    pub(crate) fn record(&self, index: usize, unit: &UnitReport) -> Vec<ResultRecord> {
        let first = index * self.types.len();
        let metrics = unit.metrics.iter().enumerate();
        metrics.map(|(at, metric)| self.result(first + at, unit, metric)).collect()
    }

    fn result(&self, ordinal: usize, unit: &UnitReport, metric: &MetricResult) -> ResultRecord {
        let item = if unit.group_key.is_empty() { &unit.trace_id } else { &unit.group_key };
        let (item, name) = (storable(item), storable(&metric.metric_name));
        let span = match &unit.turn_refs[..] {
            [only] => Some(storable(&only.span_id)),
            _ => None,
        };
        let finite = |score: Option<f64>| score.filter(|score| score.is_finite()); // JSON has no NaN
        ResultRecord {
            ordinal: u32::try_from(ordinal).unwrap_or(u32::MAX),
            item_name: item.clone(),
            item_id: item,
            eval_case_id: unit.eval_case_id.as_deref().map(storable),
            evaluator_type: self.types.get(&metric.metric_name).copied().unwrap_or(EvaluatorType::Builtin),
            evaluator_name: name,
            status: status_of(metric),
            score: finite(metric.score),
            per_invocation_scores: metric.per_invocation_scores.iter().copied().map(finite).collect(),
            trace_id: Some(storable(&unit.trace_id)).filter(|id| !id.is_empty()),
            span_id: span,
            details: details_of(metric),
            error_text: metric.error.as_deref().map(storable),
            latency_ms: metric.duration_ms.map(|duration| duration as i64),
        }
    }
}

fn status_of(metric: &MetricResult) -> ResultStatus {
    match metric.eval_status {
        _ if metric.error.is_some() => ResultStatus::Errored,
        EvalStatus::Passed => ResultStatus::Passed,
        EvalStatus::Failed => ResultStatus::Failed,
        EvalStatus::NotEvaluated | EvalStatus::Informational => ResultStatus::Skipped,
    }
}

/// The details as JSON; an empty object if there are none, as in the reference.
fn details_of(metric: &MetricResult) -> Option<Box<RawValue>> {
    let details = match &metric.details {
        Some(details) => to_raw_value(details),
        None => RawValue::from_string("{}".to_owned()),
    };
    details.ok()
}

/// Counts and averages over the results of a run.
pub(crate) fn summarise(report: &Report, results: &[ResultRecord]) -> Summary {
    let mut summary = Summary {
        trace_count: u32::try_from(report.traces.len()).unwrap_or(u32::MAX),
        agents: agents_of(&report.traces),
        errors: report.errors.iter().map(|error| storable(error)).collect(),
        warnings: report.warnings.iter().map(|warning| storable(&warning.text)).collect(),
        unmatched_eval_cases: report.unmatched_eval_cases.iter().map(|id| storable(id)).collect(),
        performance_metrics: report.performance_metrics.as_ref().and_then(|p| serde_json::to_value(p).ok()),
        ..Summary::default()
    };
    let mut scores: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for result in results {
        count(&mut summary.result_counts, result.status);
        let metric = summary.per_metric.entry(result.evaluator_name.clone()).or_default();
        count(&mut metric.counts, result.status);
        scores.entry(&result.evaluator_name).or_default().extend(result.score);
    }
    for (name, scores) in scores {
        let average = crate::metrics::mean(&scores);
        if let Some(MetricSummary { avg_score, .. }) = summary.per_metric.get_mut(name) {
            *avg_score = average;
        }
    }
    summary
}

/// Service name, else agent name, of each unit; sorted, each once.
fn agents_of(units: &[UnitReport]) -> Vec<String> {
    let name = |unit: &UnitReport| {
        let names = [&unit.service_name, &unit.agent_name].into_iter().flatten();
        names.into_iter().find(|name| !name.is_empty()).map(|name| storable(name))
    };
    units.iter().filter_map(name).collect::<BTreeSet<_>>().into_iter().collect()
}

fn count(counts: &mut ResultCounts, status: ResultStatus) {
    *match status {
        ResultStatus::Passed => &mut counts.passed,
        ResultStatus::Failed => &mut counts.failed,
        ResultStatus::Errored => &mut counts.errored,
        ResultStatus::Skipped => &mut counts.skipped,
    } += 1;
}
