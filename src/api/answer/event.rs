//! Events of runs in streams.

use poem_openapi::Object;
use serde::Serialize;
use uuid::Uuid;

use super::member::{Named, Nullable, Time};
use super::run::ProgressAnswer;
use crate::api::event_stream::StreamEvent;
use crate::runs::{EventKind, ResultDigest, ResultStatus, RunEvent, RunStatus, Verdict};

/// An event of a run. Members that do not apply are left out.
#[derive(Debug, PartialEq, Serialize, Object)]
#[serde(rename_all = "camelCase")]
#[oai(rename = "RunEvent", rename_all = "camelCase")]
pub(in crate::api) struct EventAnswer {
    /// Id of the run.
    run_id: Uuid,
    /// Number of the event within the run, from 1 without gaps.
    seq: u32,
    /// Kind of the event; the same as the `event` field of the stream.
    event: Named<EventKind>,
    /// When it happened.
    at: Time,
    /// Status of the run from this event on.
    status: Named<RunStatus>,
    /// The attempt that started, ended or was lost.
    #[serde(skip_serializing_if = "Option::is_none")]
    attempt: Option<u32>,
    /// `run.started`: id of the worker.
    #[serde(skip_serializing_if = "Option::is_none")]
    worker_id: Option<String>,
    /// `run.progress`: how many evaluation units are done.
    #[serde(skip_serializing_if = "Option::is_none")]
    progress: Option<ProgressAnswer>,
    /// `result.created`: the result in short.
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<DigestAnswer>,
    /// `run.succeeded`: whether the agent's behaviour passed.
    #[serde(skip_serializing_if = "Option::is_none")]
    verdict: Option<Named<Verdict>>,
    /// `run.failed` and `run.requeued`: stable code of the reason, for programs.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<String>,
    /// `run.failed` and `run.requeued`: the reason, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
}

impl From<RunEvent> for EventAnswer {
    fn from(RunEvent { run, seq, kind, at, data }: RunEvent) -> Self {
        Self {
            run_id: run.0,
            seq,
            event: kind.into(),
            at: at.into(),
            status: kind.status().into(),
            attempt: data.attempt,
            worker_id: data.worker_id,
            progress: data.progress.map(Into::into),
            result: data.result.map(Into::into),
            verdict: data.verdict.map(Into::into),
            code: data.code,
            message: data.message,
        }
    }
}

impl StreamEvent for EventAnswer {
    fn name(&self) -> &'static str {
        self.event.name()
    }
}

/// A result in short; `list_results` has all of it.
#[derive(Debug, PartialEq, Serialize, Object)]
#[serde(rename_all = "camelCase")]
#[oai(rename = "ResultDigest", rename_all = "camelCase")]
struct DigestAnswer {
    /// Id of the result.
    result_id: String,
    /// Key by which the traces of the evaluation unit were grouped.
    eval_set_item_id: String,
    /// Id of the eval case compared with.
    eval_case_id: Nullable<String>,
    /// Name of the evaluator.
    evaluator_name: String,
    /// Whether the score passed.
    status: Named<ResultStatus>,
    /// Overall score.
    score: Nullable<f64>,
    /// Id of the unit's earliest trace.
    trace_id: Nullable<String>,
    /// Why the score could not be computed.
    error_text: Nullable<String>,
}

impl From<ResultDigest> for DigestAnswer {
    fn from(digest: ResultDigest) -> Self {
        Self {
            result_id: digest.result_id,
            eval_set_item_id: digest.eval_set_item_id,
            eval_case_id: Nullable(digest.eval_case_id),
            evaluator_name: digest.evaluator_name,
            status: digest.status.into(),
            score: Nullable(digest.score),
            trace_id: Nullable(digest.trace_id),
            error_text: Nullable(digest.error_text),
        }
    }
}
