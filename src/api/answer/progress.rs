//! What is told of an evaluation while it goes on.

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

/// What is told of an evaluation while it goes on; the last event has `done` or `error`.
#[derive(Debug, Serialize, Union)]
#[serde(untagged)]
#[oai(one_of = true)]
pub(in crate::api) enum EvaluationEvent {
    /// A conversation was extracted; the event is named `performance_metrics`.
    Extracted(PerformanceEvent),
    /// Something for people to read.
    Message(MessageEvent),
    /// A metric is done.
    Progress(ProgressEvent),
    /// All is done.
    Done(DoneEvent),
    /// Nothing came out.
    Failed(ErrorEvent),
}

/// A conversation was extracted; the event is named `performance_metrics`.
#[derive(Debug, Serialize, Object)]
#[serde(rename_all = "camelCase")]
#[oai(rename_all = "camelCase")]
pub(in crate::api) struct PerformanceEvent {
    /// The unit's earliest trace.
    trace_id: String,
    /// Latency, tokens and counts.
    performance_metrics: PerformanceAnswer,
    /// What the conversation is about.
    trace_metadata: MetadataAnswer,
}

/// Something for people to read.
#[derive(Debug, Serialize, Object)]
pub(in crate::api) struct MessageEvent {
    /// How far the evaluation is.
    message: String,
}

/// A metric is done.
#[derive(Debug, Serialize, Object)]
#[serde(rename_all = "camelCase")]
#[oai(rename_all = "camelCase")]
pub(in crate::api) struct ProgressEvent {
    /// Of which trace, and what came out.
    trace_progress: TraceProgress,
}

/// Of which trace a metric is done, and what came out.
#[derive(Debug, Serialize, Object)]
#[serde(rename_all = "camelCase")]
#[oai(rename_all = "camelCase")]
struct TraceProgress {
    /// The unit's earliest trace.
    trace_id: String,
    /// Only what is new: `metricResults` has the one metric that is done; warnings, turns and performance are told
    /// with the first.
    partial_result: TraceResultAnswer,
}

/// All is done.
#[derive(Debug, Serialize, Object)]
pub(in crate::api) struct DoneEvent {
    /// Always true.
    done: bool,
    /// What came out.
    result: ReportAnswer,
}

/// Nothing came out.
#[derive(Debug, Serialize, Object)]
pub(in crate::api) struct ErrorEvent {
    /// Why, for people.
    error: String,
    /// Why; stable, for programs.
    code: String,
}

impl EvaluationEvent {
    /// A text for people.
    pub(in crate::api) fn message(text: impl Into<String>) -> Self {
        Self::Message(MessageEvent { message: text.into() })
    }

    /// A conversation that was extracted.
    pub(in crate::api) fn extracted(unit: &UnitReport, conversation: &Conversation) -> Self {
        Self::Extracted(PerformanceEvent {
            trace_id: unit.trace_id.clone(),
            performance_metrics: conversation.performance.clone().into(),
            trace_metadata: conversation.into(),
        })
    }

    /// A metric of a unit that is done; the first of it tells of all else, too.
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

    /// The end of an evaluation.
    pub(in crate::api) fn done(evaluated: EvaluatedUpload) -> Self {
        Self::Done(DoneEvent { done: true, result: evaluated.into() })
    }

    /// The end of an evaluation that failed.
    pub(in crate::api) fn failed(problem: &Problem) -> Self {
        Self::Failed(ErrorEvent { error: problem.to_string(), code: problem.code().to_owned() })
    }
}

impl StreamEvent for EvaluationEvent {
    fn name(&self) -> &'static str {
        match self {
            Self::Extracted(_) => "performance_metrics",
            Self::Message(_) | Self::Progress(_) | Self::Done(_) | Self::Failed(_) => "",
        }
    }
}
