//! Events of a run: each change of its status, its progress and each new result.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::model::{Failure, Progress, RunStatus};
use super::result::{ResultRecord, ResultStatus};
use crate::evaluation::Verdict;
use crate::ids::RunId;

/// The kind of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EventKind {
    /// The run was submitted, or retried.
    Queued,
    /// A worker claimed it.
    Started,
    /// More of its evaluation units are done.
    Progress,
    /// A result was stored.
    ResultCreated,
    /// It went back to the queue.
    Requeued,
    /// Terminal.
    Succeeded,
    /// Terminal.
    Failed,
    /// Terminal.
    Cancelled,
}

impl EventKind {
    /// The names in streams and in SQL.
    pub const NAMES: [(&'static str, Self); 8] = [
        ("run.queued", Self::Queued),
        ("run.started", Self::Started),
        ("run.progress", Self::Progress),
        ("result.created", Self::ResultCreated),
        ("run.requeued", Self::Requeued),
        ("run.succeeded", Self::Succeeded),
        ("run.failed", Self::Failed),
        ("run.cancelled", Self::Cancelled),
    ];

    /// The status of the run after this event.
    pub fn status(self) -> RunStatus {
        match self {
            Self::Queued | Self::Requeued => RunStatus::Queued,
            Self::Started | Self::Progress | Self::ResultCreated => RunStatus::Running,
            Self::Succeeded => RunStatus::Succeeded,
            Self::Failed => RunStatus::Failed,
            Self::Cancelled => RunStatus::Cancelled,
        }
    }
}

/// The data of an event; members that do not apply to its kind are left out.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EventData {
    /// The attempt that started, ended or was lost.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    /// `run.started`: name of the worker that claimed it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub worker_id: Option<String>,
    /// `run.progress`: evaluation units done so far.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
    /// `result.created`: the result, without its details.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<ResultDigest>,
    /// `run.succeeded`: whether the agent passed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
    /// `run.failed` and `run.requeued`: stable code of the reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// `run.failed` and `run.requeued`: the reason in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

impl EventData {
    /// The data of an event with a reason: the attempt failed, or the run went back to the queue.
    pub fn failure(attempt: u32, failure: &Failure) -> Self {
        let Failure { code, message } = failure.clone();
        Self { attempt: Some(attempt), code: Some(code), message: Some(message), ..Self::default() }
    }
}

/// A result as events carry it: enough to show, without the details.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs, reason = "see ResultRecord")]
pub struct ResultDigest {
    pub result_id: String,
    pub eval_set_item_id: String,
    pub eval_case_id: Option<String>,
    pub evaluator_name: String,
    pub status: ResultStatus,
    pub score: Option<f64>,
    pub trace_id: Option<String>,
    pub error_text: Option<String>,
}

impl ResultDigest {
    /// The `result.created` event of a result.
    pub fn created(run: RunId, result: &ResultRecord) -> (EventKind, EventData) {
        let digest = Self {
            result_id: result.id(run),
            eval_set_item_id: result.item_id.clone(),
            eval_case_id: result.eval_case_id.clone(),
            evaluator_name: result.evaluator_name.clone(),
            status: result.status,
            score: result.score,
            trace_id: result.trace_id.clone(),
            error_text: result.error_text.clone(),
        };
        (EventKind::ResultCreated, EventData { result: Some(digest), ..EventData::default() })
    }
}

/// An event of a run; the events of a run are numbered from 1 without gaps.
#[derive(Debug, Clone, PartialEq)]
pub struct RunEvent {
    /// The run.
    pub run: RunId,
    /// Number within the run, from 1.
    pub seq: u32,
    /// Its kind.
    pub kind: EventKind,
    /// When it happened, by the clock of storage.
    pub at: DateTime<Utc>,
    /// Its data.
    pub data: EventData,
}
