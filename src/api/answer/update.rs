//! Updates of an evaluation while it runs.

use poem_openapi::{Object, Union};
use serde::Serialize;

use super::conversation::MetadataAnswer;
use super::performance::PerformanceAnswer;
use super::report::{ReportAnswer, TraceResultAnswer};
use crate::api::event_stream::StreamEvent;
use crate::api::problem::Problem;
use crate::evaluation::UnitReport;
use crate::extraction::Conversation;
use crate::uploads::EvaluatedUpload;

/// An update of an evaluation while it runs; the last one has `done` or `error`.
#[derive(Debug, Serialize, Union)]
#[serde(untagged)]
#[oai(one_of = true, rename = "EvaluationEvent")]
pub(in crate::api) enum EvaluationUpdate {
    /// A conversation was extracted.
    Extracted(PerformanceEvent),
    /// A message for people.
    Message(MessageEvent),
    /// A metric was computed.
    Progress(ProgressEvent),
    /// The evaluation is complete.
    Done(DoneEvent),
    /// The evaluation failed.
    Failed(ErrorEvent),
}

/// A conversation was extracted. The `event` field of the stream is `performance_metrics`; other updates have none.
#[derive(Debug, Serialize, Object)]
#[serde(rename_all = "camelCase")]
#[oai(rename_all = "camelCase")]
pub(in crate::api) struct PerformanceEvent {
    /// Id of the unit's earliest trace.
    trace_id: String,
    /// Latency, tokens and counts.
    performance_metrics: PerformanceAnswer,
    /// Agent, model and first texts of the conversation.
    trace_metadata: MetadataAnswer,
}

/// A message for people.
#[derive(Debug, Serialize, Object)]
pub(in crate::api) struct MessageEvent {
    /// The text, such as the metric that is computed next.
    message: String,
}

/// A metric was computed.
#[derive(Debug, Serialize, Object)]
#[serde(rename_all = "camelCase")]
#[oai(rename_all = "camelCase")]
pub(in crate::api) struct ProgressEvent {
    /// The trace and the result of the metric.
    trace_progress: TraceProgress,
}

/// A trace and the result of one metric.
#[derive(Debug, Serialize, Object)]
#[serde(rename_all = "camelCase")]
#[oai(rename_all = "camelCase")]
struct TraceProgress {
    /// Id of the unit's earliest trace.
    trace_id: String,
    /// The new part of the trace's result: `metricResults` has the one metric; warnings, turns and performance come
    /// only with the first metric of a trace.
    partial_result: TraceResultAnswer,
}

/// The evaluation is complete.
#[derive(Debug, Serialize, Object)]
pub(in crate::api) struct DoneEvent {
    /// Always true.
    done: bool,
    /// The whole result.
    result: ReportAnswer,
}

/// The evaluation failed.
#[derive(Debug, Serialize, Object)]
pub(in crate::api) struct ErrorEvent {
    /// The reason, for people.
    error: String,
    /// Stable code of the reason, for programs.
    code: String,
}

impl EvaluationUpdate {
    /// A message for people.
    pub(in crate::api) fn message(text: impl Into<String>) -> Self {
        Self::Message(MessageEvent { message: text.into() })
    }

    /// A conversation was extracted.
    pub(in crate::api) fn extracted(unit: &UnitReport, conversation: &Conversation) -> Self {
        Self::Extracted(PerformanceEvent {
            trace_id: unit.trace_id.clone(),
            performance_metrics: conversation.performance.clone().into(),
            trace_metadata: conversation.into(),
        })
    }

    /// A metric of a unit was computed; the first update of a unit also carries warnings, turns and performance.
    pub(in crate::api) fn metric_done(unit: &UnitReport, metric: usize, is_first: bool) -> Self {
        let mut partial = unit.with_only(metric);
        if !is_first {
            partial.conversion_warnings.clear();
            partial.warnings.clear();
            partial.turn_refs.clear();
            partial.performance_metrics = None;
        }
        let trace_id = unit.trace_id.clone();
        Self::Progress(ProgressEvent {
            trace_progress: TraceProgress { trace_id, partial_result: partial.into() },
        })
    }

    /// The evaluation is complete.
    pub(in crate::api) fn done(evaluated: EvaluatedUpload) -> Self {
        Self::Done(DoneEvent { done: true, result: evaluated.into() })
    }

    /// The evaluation failed.
    pub(in crate::api) fn failed(problem: &Problem) -> Self {
        Self::Failed(ErrorEvent { error: problem.to_string(), code: problem.code().to_owned() })
    }
}

impl StreamEvent for EvaluationUpdate {
    fn name(&self) -> &'static str {
        match self {
            Self::Extracted(_) => "performance_metrics",
            Self::Message(_) | Self::Progress(_) | Self::Done(_) | Self::Failed(_) => "",
        }
    }
}
