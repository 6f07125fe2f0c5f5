//! What came out of an evaluation, as it is answered at once.

use poem_openapi::Object;
use serde::Serialize;
use serde_json::value::to_raw_value;
use uuid::Uuid;

use super::member::{Named, Nullable, RawObject};
use super::performance::{PerformanceAnswer, RunPerformanceAnswer};
use crate::eval_set::CaseMatch;
use crate::evaluation::{Report, TurnRef, UnitReport, Verdict};
use crate::metrics::{EvalStatus, MetricResult};
use crate::trace::Warning;
use crate::uploads::EvaluatedUpload;

/// Something that was read or evaluated with less than it should have had.
#[derive(Debug, Serialize, Object)]
#[oai(rename = "Warning")]
struct WarningAnswer {
    /// What it is about; stable, for programs.
    code: String,
    /// What happened, for people.
    text: String,
}

impl From<Warning> for WarningAnswer {
    fn from(Warning { code, text }: Warning) -> Self {
        Self { code: code.to_owned(), text }
    }
}

/// What came out for one metric.
#[derive(Debug, Serialize, Object)]
#[serde(rename_all = "camelCase")]
#[oai(rename = "MetricResult", rename_all = "camelCase")]
struct MetricResultAnswer {
    /// Which metric.
    metric_name: String,
    /// Overall score.
    score: Nullable<f64>,
    /// What the score was worth.
    eval_status: Named<EvalStatus>,
    /// One score per turn; null where a turn has none.
    per_invocation_scores: Vec<Nullable<f64>>,
    /// What each of them was worth.
    per_invocation_statuses: Vec<Named<EvalStatus>>,
    /// Why it could not be computed.
    error: Nullable<String>,
    /// The kind of the error; stable, for programs.
    error_type: Nullable<String>,
    /// What stands behind the score; names and values are never rewritten.
    details: Nullable<RawObject>,
    /// How long it took, in milliseconds.
    duration_ms: f64,
}

impl From<MetricResult> for MetricResultAnswer {
    fn from(result: MetricResult) -> Self {
        Self {
            metric_name: result.metric_name,
            score: Nullable(result.score),
            eval_status: result.eval_status.into(),
            per_invocation_scores: result.per_invocation_scores.into_iter().map(Nullable).collect(),
            per_invocation_statuses: result.per_invocation_statuses.into_iter().map(Named).collect(),
            error: Nullable(result.error),
            error_type: Nullable(result.error_type),
            details: Nullable(result.details.and_then(|details| to_raw_value(&details).ok()).map(RawObject)),
            duration_ms: result.duration_ms,
        }
    }
}

/// Where a turn is found.
#[derive(Debug, Serialize, Object)]
#[serde(rename_all = "camelCase")]
#[oai(rename = "TurnRef", rename_all = "camelCase")]
struct TurnRefAnswer {
    /// The trace.
    trace_id: String,
    /// The span that the turn is anchored at.
    span_id: String,
}

impl From<TurnRef> for TurnRefAnswer {
    fn from(TurnRef { trace_id, span_id, .. }: TurnRef) -> Self {
        Self { trace_id, span_id }
    }
}

/// What came out for one evaluation unit: a trace, or the traces of a conversation.
#[derive(Debug, Serialize, Object)]
#[serde(rename_all = "camelCase")]
#[oai(rename = "TraceResult", rename_all = "camelCase")]
pub(super) struct TraceResultAnswer {
    /// The unit's earliest trace.
    trace_id: String,
    /// How many turns there are.
    num_invocations: usize,
    /// One per metric, in the order of the configuration.
    metric_results: Vec<MetricResultAnswer>,
    /// The texts of `warnings`, sorted.
    conversion_warnings: Vec<String>,
    /// What was lost, mended or guessed on the way.
    warnings: Vec<WarningAnswer>,
    /// Latency, tokens and counts.
    performance_metrics: Nullable<PerformanceAnswer>,
    /// The service that sent the traces.
    service_name: Nullable<String>,
    /// The agent of the first turn that names one.
    agent_name: Nullable<String>,
    /// All traces of the unit, by start.
    trace_ids: Vec<String>,
    /// Id of the conversation.
    conversation_id: Nullable<String>,
    /// What the traces were grouped by.
    group_key: String,
    /// The eval case compared with.
    eval_case_id: Nullable<String>,
    /// How it was found.
    eval_case_match: Nullable<Named<CaseMatch>>,
    /// Where each turn is found.
    turn_refs: Vec<TurnRefAnswer>,
}

impl From<UnitReport> for TraceResultAnswer {
    fn from(unit: UnitReport) -> Self {
        Self {
            trace_id: unit.trace_id,
            num_invocations: unit.num_invocations,
            metric_results: unit.metrics.into_iter().map(MetricResultAnswer::from).collect(),
            conversion_warnings: unit.conversion_warnings,
            warnings: unit.warnings.into_iter().map(WarningAnswer::from).collect(),
            performance_metrics: Nullable::from(unit.performance_metrics),
            service_name: Nullable(unit.service_name),
            agent_name: Nullable(unit.agent_name),
            trace_ids: unit.trace_ids,
            conversation_id: Nullable(unit.conversation_id),
            group_key: unit.group_key,
            eval_case_id: Nullable(unit.eval_case_id),
            eval_case_match: Nullable::from(unit.eval_case_match),
            turn_refs: unit.turn_refs.into_iter().map(TurnRefAnswer::from).collect(),
        }
    }
}

/// What came out of an evaluation.
#[derive(Debug, Serialize, Object)]
#[serde(rename_all = "camelCase")]
#[oai(rename = "EvaluationResult", rename_all = "camelCase")]
pub(super) struct ReportAnswer {
    /// One per evaluation unit, in the order in which their traces were first seen.
    trace_results: Vec<TraceResultAnswer>,
    /// Inputs, or parts of inputs, that could not be read.
    errors: Vec<String>,
    /// Sums over all units; null when there are none.
    performance_metrics: Nullable<RunPerformanceAnswer>,
    /// The run as which this was stored; null when that failed, which is among the warnings.
    run_id: Nullable<Uuid>,
    /// What the agent's behaviour was worth.
    verdict: Named<Verdict>,
    /// What was lost on the way and belongs to no unit.
    warnings: Vec<WarningAnswer>,
    /// Eval cases that could have been compared with and were not.
    unmatched_eval_cases: Vec<String>,
}

impl From<EvaluatedUpload> for ReportAnswer {
    fn from(EvaluatedUpload { report, run }: EvaluatedUpload) -> Self {
        let Report { verdict, traces, errors, warnings, unmatched_eval_cases, performance_metrics, .. } =
            report;
        Self {
            trace_results: traces.into_iter().map(TraceResultAnswer::from).collect(),
            errors,
            performance_metrics: Nullable::from(performance_metrics),
            run_id: Nullable(run.map(|run| run.0)),
            verdict: verdict.into(),
            warnings: warnings.into_iter().map(WarningAnswer::from).collect(),
            unmatched_eval_cases,
        }
    }
}

/// The result of an evaluation.
#[derive(Debug, Serialize, Object)]
#[oai(rename = "EvaluationEnvelope")]
pub(in crate::api) struct OneReport {
    /// What came out.
    data: ReportAnswer,
}

impl From<EvaluatedUpload> for OneReport {
    fn from(evaluated: EvaluatedUpload) -> Self {
        Self { data: evaluated.into() }
    }
}
