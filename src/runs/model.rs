//! What a run is: states, results, events. The one place where the state machine is written down.
//!
//! ```text
//! queued ──claim──▶ running ──finish──▶ succeeded │ failed │ cancelled
//!   ▲ │                │
//!   │ └──cancel────────┼──────────────▶ cancelled
//!   └──lease lost, retryable failure, shutdown
//!   └──retry────────────────────────── failed │ cancelled
//! ```
//!
//! `status` says whether the machine did its work; `verdict` what the agent's behaviour was worth. SQL holds the
//! same rules as CHECK constraints (`sql/migrations/000001_runs.up.sql`).

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use uuid::Uuid;

pub use crate::evaluation::Verdict;
use crate::ids::{LeaseId, RunId};

/// Where a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Waits for a worker, for the first time or again.
    Queued,
    /// A worker holds it.
    Running,
    /// Was evaluated; the verdict says how well the agent did.
    Succeeded,
    /// Could not be evaluated; the failure says why.
    Failed,
    /// Was stopped on request.
    Cancelled,
}

impl Status {
    /// The names used in answers and in SQL.
    pub const NAMES: [(&'static str, Self); 5] = [
        ("queued", Self::Queued),
        ("running", Self::Running),
        ("succeeded", Self::Succeeded),
        ("failed", Self::Failed),
        ("cancelled", Self::Cancelled),
    ];

    /// Whether nothing more will happen unless somebody retries the run.
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled)
    }
}

/// Why a run failed or went back to the queue; API, CLI and webhooks tell the same story.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Stable, for programs.
    pub code: String,
    /// For people: what happened and, where there is one, the remedy.
    pub message: String,
}

impl Failure {
    /// A failure with a stable code and a text.
    pub fn new(code: &str, message: impl Into<String>) -> Self {
        Self { code: code.to_owned(), message: message.into() }
    }
}

/// How far a running run has come, in evaluation units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Units whose results are stored.
    pub done: u32,
    /// Units there are.
    pub total: u32,
}

/// A run as it stands, without its specification.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// Its id.
    pub id: RunId,
    /// Where it stands.
    pub status: Status,
    /// What the agent's behaviour was worth; `None` until it was evaluated.
    pub verdict: Option<Verdict>,
    /// How often it was claimed; 0 until the first time.
    pub attempt: u32,
    /// How many claims there may be before a lost lease or a transient failure ends it.
    pub max_attempts: u32,
    /// −100 to 100; higher ones are claimed first.
    pub priority: i16,
    /// How long one attempt may take.
    pub deadline: Duration,
    /// What the submitter called it.
    pub labels: BTreeMap<String, String>,
    /// Who holds it, while it is running.
    pub worker: Option<String>,
    /// How far it has come, while it is running.
    pub progress: Option<Progress>,
    /// Why it failed.
    pub failure: Option<Failure>,
    /// Counts and averages, when it succeeded.
    pub summary: Option<Summary>,
    /// When it was submitted.
    pub created_at: DateTime<Utc>,
    /// When it was first claimed.
    pub started_at: Option<DateTime<Utc>>,
    /// When it reached a terminal status.
    pub finished_at: Option<DateTime<Utc>>,
    /// Whether somebody asked for it to be stopped.
    pub cancel_requested: bool,
}

/// What is known of a run at its submission.
#[derive(Debug, Clone)]
pub struct NewRun {
    /// Its id.
    pub id: RunId,
    /// The submitter's key that makes repeating a submission safe without an id.
    pub idempotency_key: Option<String>,
    /// The specification as JSON text.
    pub spec: String,
    /// Digest of the canonical form of the specification; equal digests mean the same work.
    pub digest: SpecDigest,
    /// −100 to 100; higher ones are claimed first.
    pub priority: i16,
    /// How long one attempt may take, whole seconds.
    pub deadline: Duration,
    /// How many claims there may be.
    pub max_attempts: u32,
    /// What the submitter calls it.
    pub labels: BTreeMap<String, String>,
}

/// SHA-256 of a specification's canonical form.
pub type SpecDigest = [u8; 32];

/// What became of a submission.
#[derive(Debug, Clone, PartialEq)]
pub enum Submitted {
    /// A new run was stored.
    Created(Run),
    /// The same work was submitted before under this id or key; nothing was stored.
    Same(Run),
    /// Other work was submitted before under this id or key; nothing was stored.
    Conflict(Run),
}

/// The claim on a run that a worker holds; every write names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Lease {
    /// The run.
    pub run: RunId,
    /// The claim.
    pub id: LeaseId,
}

/// A run that a worker has just claimed.
#[derive(Debug, Clone)]
pub struct Claimed {
    /// The claim.
    pub lease: Lease,
    /// Which attempt this is, from 1.
    pub attempt: u32,
    /// How many there may be.
    pub max_attempts: u32,
    /// How long it may take.
    pub deadline: Duration,
    /// The specification as JSON text.
    pub spec: String,
}

/// How a claimed run ended.
#[derive(Debug, Clone)]
pub enum Ending {
    /// Evaluated.
    Succeeded {
        /// What the agent's behaviour was worth.
        verdict: Verdict,
        /// Counts and averages.
        summary: Box<Summary>,
    },
    /// Could not be evaluated.
    Failed(Failure),
    /// Stopped on request.
    Cancelled,
}

impl Ending {
    /// The status it leads to.
    pub fn status(&self) -> Status {
        match self {
            Self::Succeeded { .. } => Status::Succeeded,
            Self::Failed(_) => Status::Failed,
            Self::Cancelled => Status::Cancelled,
        }
    }
}

/// Something a worker has to write about a run it holds; fenced by the lease.
#[derive(Debug, Clone)]
pub struct Record {
    /// The claim under which it is written.
    pub lease: Lease,
    /// Tells a write from its repetition after an answer that was lost; random.
    pub write: Uuid,
    /// Which attempt it is; results of earlier ones are replaced.
    pub attempt: u32,
    /// How far it has come.
    pub progress: Option<Progress>,
    /// Results not written before.
    pub results: Vec<ResultRecord>,
    /// How it ended, if it has.
    pub ending: Option<Ending>,
}

/// What came out for one metric on one evaluation unit.
#[derive(Debug, Clone)]
pub struct ResultRecord {
    /// Place among the run's results: by unit, then by evaluator.
    pub ordinal: u32,
    /// What the unit's traces were grouped by.
    pub item_id: String,
    /// Name of the unit for people.
    pub item_name: String,
    /// The eval case compared with; the same over all runs of the same golden.
    pub eval_case_id: Option<String>,
    /// Which metric.
    pub evaluator_name: String,
    /// What computes it.
    pub evaluator_type: EvaluatorType,
    /// What the score was worth.
    pub status: ResultStatus,
    /// Overall score.
    pub score: Option<f64>,
    /// One score per turn.
    pub per_invocation_scores: Vec<Option<f64>>,
    /// The unit's earliest trace.
    pub trace_id: Option<String>,
    /// The turn's anchor span, when the unit has exactly one turn.
    pub span_id: Option<String>,
    /// What stands behind the score, as JSON; user JSON in it is as the user wrote it.
    pub details: Option<Box<RawValue>>,
    /// Why it could not be computed.
    pub error_text: Option<String>,
    /// How long it took, milliseconds.
    pub latency_ms: Option<i64>,
}

impl ResultRecord {
    /// The id of the reference: SHA-256 of `run|item|evaluator`, in lower-case hexadecimal.
    pub fn id(&self, run: RunId) -> String {
        let key = format!("{run}|{}|{}", self.item_id, self.evaluator_name);
        Sha256::digest(key).iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// A result that was stored.
#[derive(Debug, Clone)]
pub struct StoredResult {
    /// The result.
    pub record: ResultRecord,
    /// The attempt that wrote it.
    pub attempt: u32,
    /// When it was stored.
    pub created_at: DateTime<Utc>,
}

/// What computes a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EvaluatorType {
    /// This program.
    Builtin,
    /// A program that speaks the evaluator protocol.
    Code,
    /// A downloaded one; kept for the reference's results.
    Remote,
}

impl EvaluatorType {
    /// The names used in answers and in SQL.
    pub const NAMES: [(&'static str, Self); 3] =
        [("builtin", Self::Builtin), ("code", Self::Code), ("remote", Self::Remote)];
}

/// What a result was worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResultStatus {
    /// At or above the threshold.
    Passed,
    /// Below the threshold.
    Failed,
    /// Could not be computed.
    Errored,
    /// Not compared, or a number that is only reported.
    Skipped,
}

impl ResultStatus {
    /// The names used in answers and in SQL.
    pub const NAMES: [(&'static str, Self); 4] = [
        ("passed", Self::Passed),
        ("failed", Self::Failed),
        ("errored", Self::Errored),
        ("skipped", Self::Skipped),
    ];
}

/// How many results there are of each status.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names say it")]
pub struct ResultCounts {
    pub passed: u32,
    pub failed: u32,
    pub errored: u32,
    pub skipped: u32,
}

/// What one metric came to over a run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct MetricSummary {
    /// Results by status.
    #[serde(flatten)]
    pub counts: ResultCounts,
    /// Mean of the scores there are.
    pub avg_score: Option<f64>,
}

/// Counts and averages of a run; members spelled as in the reference.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Evaluation units.
    pub trace_count: u32,
    /// Results by status.
    pub result_counts: ResultCounts,
    /// By evaluator name.
    pub per_metric: BTreeMap<String, MetricSummary>,
    /// Service name, else agent name, of each unit; sorted, each once.
    pub agents: Vec<String>,
    /// Inputs, or parts of inputs, that could not be read.
    pub errors: Vec<String>,
    /// What was lost on the way and belongs to no unit, in words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// Eval cases that nothing was compared with.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unmatched_eval_cases: Vec<String>,
    /// Latency, tokens and counts over all units.
    pub performance_metrics: Option<serde_json::Value>,
}

/// What happened to a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EventKind {
    /// It was submitted, or retried.
    Queued,
    /// A worker claimed it.
    Started,
    /// More of its units are done.
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
    /// The names used in streams and in SQL.
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

    /// The status it puts the run in.
    pub fn status(self) -> Status {
        match self {
            Self::Queued | Self::Requeued => Status::Queued,
            Self::Started | Self::Progress | Self::ResultCreated => Status::Running,
            Self::Succeeded => Status::Succeeded,
            Self::Failed => Status::Failed,
            Self::Cancelled => Status::Cancelled,
        }
    }
}

/// What an event says besides its kind; members that do not apply are left out.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EventData {
    /// The attempt that started, ended or was lost.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    /// `run.started`: who claimed it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub worker_id: Option<String>,
    /// `run.progress`: how far it has come.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
    /// `result.created`: which result.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<ResultDigest>,
    /// `run.succeeded`: what the agent's behaviour was worth.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
    /// `run.failed` and `run.requeued`: stable code of the reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// `run.failed` and `run.requeued`: the reason in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// A result as an event tells of it: enough to show, without the details.
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

/// Something that happened to a run; numbered from 1 without gaps.
#[derive(Debug, Clone, PartialEq)]
pub struct RunEvent {
    /// The run.
    pub run: RunId,
    /// Number within the run, from 1.
    pub seq: u32,
    /// What happened.
    pub kind: EventKind,
    /// When.
    pub at: DateTime<Utc>,
    /// More about it.
    pub data: EventData,
}

impl Record {
    /// Takes up what was written later under the same claim.
    pub(crate) fn extend(&mut self, later: Self) {
        self.progress = later.progress.or(self.progress);
        self.results.extend(later.results);
        self.ending = later.ending.or(self.ending.take());
    }

    /// The events that writing this record adds, in order: one per result, progress, the end.
    pub fn events(&self) -> Vec<(EventKind, EventData)> {
        let attempt = Some(self.attempt);
        let created = self.results.iter().map(|result| {
            let digest = ResultDigest {
                result_id: result.id(self.lease.run),
                eval_set_item_id: result.item_id.clone(),
                eval_case_id: result.eval_case_id.clone(),
                evaluator_name: result.evaluator_name.clone(),
                status: result.status,
                score: result.score,
                trace_id: result.trace_id.clone(),
                error_text: result.error_text.clone(),
            };
            (EventKind::ResultCreated, EventData { result: Some(digest), ..EventData::default() })
        });
        let mut events: Vec<_> = created.collect();
        if let (Some(progress), None) = (self.progress, &self.ending) {
            events
                .push((EventKind::Progress, EventData { progress: Some(progress), ..EventData::default() }));
        }
        events.extend(self.ending.as_ref().map(|ending| match ending {
            Ending::Succeeded { verdict, .. } => {
                (EventKind::Succeeded, EventData { attempt, verdict: Some(*verdict), ..EventData::default() })
            }
            Ending::Failed(Failure { code, message }) => {
                let (code, message) = (Some(code.clone()), Some(message.clone()));
                (EventKind::Failed, EventData { attempt, code, message, ..EventData::default() })
            }
            Ending::Cancelled => (EventKind::Cancelled, EventData { attempt, ..EventData::default() }),
        }));
        events
    }
}

/// The name of `value` in one of the `NAMES` tables.
pub fn name_of<T: PartialEq>(names: &[(&'static str, T)], value: &T) -> &'static str {
    names.iter().find(|(_, known)| known == value).map_or("", |(name, _)| *name)
}
