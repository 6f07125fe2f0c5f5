//! An event as it is told of in a stream.

use poem_openapi::Object;
use serde::Serialize;
use uuid::Uuid;

use super::member::{Named, Nullable, Time};
use super::run::ProgressAnswer;
use crate::api::event_stream::StreamEvent;
use crate::runs::{EventKind, ResultDigest, ResultStatus, RunEvent, RunStatus, Verdict};

/// Something that happened to a run. Members that do not apply are left out.
#[derive(Debug, PartialEq, Serialize, Object)]
#[serde(rename_all = "camelCase")]
#[oai(rename = "RunEvent", rename_all = "camelCase")]
pub(in crate::api) struct EventAnswer {
    /// The run.
    run_id: Uuid,
    /// Number within the run, from 1 without gaps.
    seq: u32,
    /// What happened; the same as the name of the event.
    event: Named<EventKind>,
    /// When.
    at: Time,
    /// The status it puts the run in.
    status: Named<RunStatus>,
    /// The attempt that started, ended or was lost.
    #[serde(skip_serializing_if = "Option::is_none")]
    attempt: Option<u32>,
    /// `run.started`: who works on it.
    #[serde(skip_serializing_if = "Option::is_none")]
    worker_id: Option<String>,
    /// `run.progress`: how far it has come.
    #[serde(skip_serializing_if = "Option::is_none")]
    progress: Option<ProgressAnswer>,
    /// `result.created`: which result.
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<DigestAnswer>,
    /// `run.succeeded`: what the agent's behaviour was worth.
    #[serde(skip_serializing_if = "Option::is_none")]
    verdict: Option<Named<Verdict>>,
    /// `run.failed` and `run.requeued`: the reason; stable, for programs.
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

/// A result in few words; the whole is among the results of the run.
#[derive(Debug, PartialEq, Serialize, Object)]
#[serde(rename_all = "camelCase")]
#[oai(rename = "ResultDigest", rename_all = "camelCase")]
struct DigestAnswer {
    /// Its id.
    result_id: String,
    /// What the unit's traces were grouped by.
    eval_set_item_id: String,
    /// The eval case compared with.
    eval_case_id: Nullable<String>,
    /// Which metric.
    evaluator_name: String,
    /// What the score was worth.
    status: Named<ResultStatus>,
    /// Overall score.
    score: Nullable<f64>,
    /// The unit's earliest trace.
    trace_id: Nullable<String>,
    /// Why it could not be computed.
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
