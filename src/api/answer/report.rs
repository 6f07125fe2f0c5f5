//! Results of evaluations that their caller waits for.

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

/// A shortcoming of the input: data was lost, repaired or guessed.
#[derive(Debug, Serialize, Object)]
#[oai(rename = "Warning")]
struct WarningAnswer {
    /// Stable code of the kind of warning, for programs.
    code: String,
    /// Explanation, for people.
    text: String,
}

impl From<Warning> for WarningAnswer {
    fn from(Warning { code, text }: Warning) -> Self {
        Self { code: code.to_owned(), text }
    }
}

/// The result of one metric.
#[derive(Debug, Serialize, Object)]
#[serde(rename_all = "camelCase")]
#[oai(rename = "MetricResult", rename_all = "camelCase")]
struct MetricResultAnswer {
    /// Name of the metric.
    metric_name: String,
    /// Overall score.
    score: Nullable<f64>,
    /// Whether the score passed.
    eval_status: Named<EvalStatus>,
    /// One score per turn; null for a turn without a score.
    per_invocation_scores: Vec<Nullable<f64>>,
    /// Whether each of those scores passed.
    per_invocation_statuses: Vec<Named<EvalStatus>>,
    /// Why the score could not be computed.
    error: Nullable<String>,
    /// Stable kind of the error, for programs.
    error_type: Nullable<String>,
    /// Details behind the score; names and values from traces stay as recorded.
    details: Nullable<RawObject>,
    /// Duration of the computation, in milliseconds; null if nothing was computed.
    duration_ms: Nullable<f64>,
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
            duration_ms: Nullable(result.duration_ms),
        }
    }
}

/// The span of a turn.
#[derive(Debug, Serialize, Object)]
#[serde(rename_all = "camelCase")]
#[oai(rename = "TurnRef", rename_all = "camelCase")]
struct TurnRefAnswer {
    /// Id of the trace.
    trace_id: String,
    /// Id of the span that the turn was extracted from.
    span_id: String,
}

impl From<TurnRef> for TurnRefAnswer {
    fn from(TurnRef { trace_id, span_id, .. }: TurnRef) -> Self {
        Self { trace_id, span_id }
    }
}

/// The result of one evaluation unit: a trace, or the traces of a conversation.
#[derive(Debug, Serialize, Object)]
#[serde(rename_all = "camelCase")]
#[oai(rename = "TraceResult", rename_all = "camelCase")]
pub(super) struct TraceResultAnswer {
    /// Id of the unit's earliest trace.
    trace_id: String,
    /// Number of turns.
    num_invocations: usize,
    /// One result per metric, in the order of the configuration.
    metric_results: Vec<MetricResultAnswer>,
    /// The texts of `warnings`, sorted.
    conversion_warnings: Vec<String>,
    /// Data that was lost, repaired or guessed.
    warnings: Vec<WarningAnswer>,
    /// Latency, tokens and counts.
    performance_metrics: Nullable<PerformanceAnswer>,
    /// The service that sent the traces.
    service_name: Nullable<String>,
    /// Name of the agent, from the first turn that has one.
    agent_name: Nullable<String>,
    /// Ids of all traces of the unit, by start.
    trace_ids: Vec<String>,
    /// Id of the conversation.
    conversation_id: Nullable<String>,
    /// Key by which the traces were grouped.
    group_key: String,
    /// Id of the eval case compared with.
    eval_case_id: Nullable<String>,
    /// How the eval case was found.
    eval_case_match: Nullable<Named<CaseMatch>>,
    /// The span of each turn.
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

/// The result of an evaluation.
#[derive(Debug, Serialize, Object)]
#[serde(rename_all = "camelCase")]
#[oai(rename = "EvaluationResult", rename_all = "camelCase")]
pub(super) struct ReportAnswer {
    /// One result per evaluation unit, in the order in which their traces were first seen.
    trace_results: Vec<TraceResultAnswer>,
    /// Inputs, or parts of inputs, that could not be read.
    errors: Vec<String>,
    /// Latency, tokens and counts over all units; null if there are no units.
    performance_metrics: Nullable<RunPerformanceAnswer>,
    /// Id of the run under which the result is stored; null if storing failed, as a warning then says.
    run_id: Nullable<Uuid>,
    /// Whether the agent's behaviour passed.
    verdict: Named<Verdict>,
    /// Data that was lost, repaired or guessed, and belongs to no unit.
    warnings: Vec<WarningAnswer>,
    /// Ids of the eval cases that were compared with no trace.
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
    /// The result.
    data: ReportAnswer,
}

impl From<EvaluatedUpload> for OneReport {
    fn from(evaluated: EvaluatedUpload) -> Self {
        Self { data: evaluated.into() }
    }
}
