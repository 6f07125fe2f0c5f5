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

mod delivery;
mod event;
mod finished;
mod result;
mod target;

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use delivery::{
    ClaimedDelivery, Delivery, DeliveryId, DeliveryLease, DeliveryState, InvalidDeliveryId, Message, Phase,
    Settlement, SinkKind, StoredSink,
};
pub use event::{EventData, EventKind, ResultDigest, RunEvent};
pub use finished::FinishedRun;
pub use result::{
    EvaluatorType, MetricSummary, ResultCounts, ResultRecord, ResultStatus, StoredResult, Summary,
};
pub use target::TargetKind;

pub use crate::evaluation::Verdict;
use crate::ids::{LeaseId, RunId};

/// Where a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunStatus {
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

impl RunStatus {
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
    /// Longest text that is kept: it is stored with the run and its events, logged, and sent to sinks.
    const MAX_MESSAGE_BYTES: usize = 8 << 10;

    /// A failure with a stable code and a text, of which only the beginning is kept when it is very long.
    pub fn new(code: &str, message: impl Into<String>) -> Self {
        let mut message = message.into();
        if message.len() > Self::MAX_MESSAGE_BYTES {
            message.truncate(message.floor_char_boundary(Self::MAX_MESSAGE_BYTES));
            message.push('…');
        }
        Self { code: code.to_owned(), message }
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
    pub status: RunStatus,
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
    /// Where its traces come from.
    pub target_kind: TargetKind,
    /// Id of the golden that it is compared with.
    pub eval_set_id: Option<String>,
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
    /// Whether the submitter chose the id; a key that leads to another run is a conflict then.
    pub is_id_chosen: bool,
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
    /// Where its traces come from.
    pub target_kind: TargetKind,
    /// Id of the golden that it is compared with.
    pub eval_set_id: Option<String>,
    /// Where its results go besides storage.
    pub sinks: Vec<StoredSink>,
}

impl NewRun {
    /// What submitting this comes to when `stored`, with that digest, is found under its id or key.
    pub fn compared_with(&self, stored: Run, digest: &[u8]) -> Submitted {
        let is_other_run = self.is_id_chosen && stored.id != self.id;
        match digest == self.digest && !is_other_run {
            true => Submitted::Same(stored),
            false => Submitted::Conflict(stored),
        }
    }

    /// The run as it is stored.
    pub fn queued(&self, created_at: DateTime<Utc>) -> Run {
        Run {
            id: self.id,
            status: RunStatus::Queued,
            verdict: None,
            attempt: 0,
            max_attempts: self.max_attempts,
            priority: self.priority,
            deadline: self.deadline,
            labels: self.labels.clone(),
            target_kind: self.target_kind,
            eval_set_id: self.eval_set_id.clone(),
            worker: None,
            progress: None,
            failure: None,
            summary: None,
            created_at,
            started_at: None,
            finished_at: None,
            cancel_requested: false,
        }
    }
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
    /// Whether there are sinks to be told of it.
    pub has_sinks: bool,
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
    pub fn status(&self) -> RunStatus {
        match self {
            Self::Succeeded { .. } => RunStatus::Succeeded,
            Self::Failed(_) => RunStatus::Failed,
            Self::Cancelled => RunStatus::Cancelled,
        }
    }

    /// The event that tells of it, of an attempt.
    pub fn event(&self, attempt: u32) -> (EventKind, EventData) {
        let data = EventData { attempt: Some(attempt), ..EventData::default() };
        match self {
            Self::Succeeded { verdict, .. } => {
                (EventKind::Succeeded, EventData { verdict: Some(*verdict), ..data })
            }
            Self::Failed(Failure { code, message }) => {
                let (code, message) = (Some(code.clone()), Some(message.clone()));
                (EventKind::Failed, EventData { code, message, ..data })
            }
            Self::Cancelled => (EventKind::Cancelled, data),
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
    /// Whether sinks are to be told of this; without, none are although there may be some.
    pub has_sinks: bool,
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
        let created = self.results.iter().map(|result| result.created(self.lease.run));
        let mut events: Vec<_> = created.collect();
        if let (Some(progress), None) = (self.progress, &self.ending) {
            events
                .push((EventKind::Progress, EventData { progress: Some(progress), ..EventData::default() }));
        }
        events.extend(self.ending.as_ref().map(|ending| ending.event(self.attempt)));
        events
    }
}

/// The name of `value` in one of the `NAMES` tables.
pub fn name_of<T: PartialEq>(names: &[(&'static str, T)], value: &T) -> &'static str {
    names.iter().find(|(_, known)| known == value).map_or("", |(name, _)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_very_long_failure_the_beginning_is_kept() {
        let failure = Failure::new("x", "é".repeat(1 << 20));
        assert_eq!(failure.message.chars().count(), Failure::MAX_MESSAGE_BYTES / 2 + 1);
        assert!(failure.message.ends_with("é…"));
        assert_eq!(Failure::new("x", "short").message, "short");
    }
}
