//! A run and its states. The one place where the state machine is written down.
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

use super::result::Summary;
use crate::evaluation::Verdict;
use crate::ids::RunId;
use crate::spec::{Submission, TargetKind};

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

/// Code of the failure of a run that takes longer than it may.
pub(crate) const DEADLINE_EXCEEDED: &str = "deadline_exceeded";

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

impl Run {
    /// A submission as it is stored: queued, never claimed.
    pub fn queued(submission: &Submission, created_at: DateTime<Utc>) -> Self {
        Self {
            id: submission.id,
            status: RunStatus::Queued,
            verdict: None,
            attempt: 0,
            max_attempts: submission.max_attempts,
            priority: submission.priority,
            deadline: submission.deadline,
            labels: submission.labels.clone(),
            target_kind: submission.target_kind,
            eval_set_id: submission.eval_set_id.clone(),
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

impl Submitted {
    /// The answer to a submission whose id or key leads to `stored`, a run with that digest.
    pub fn again(submission: &Submission, stored: Run, digest: &[u8]) -> Self {
        let is_other_run = submission.is_id_chosen && stored.id != submission.id;
        match digest == submission.digest && !is_other_run {
            true => Self::Same(stored),
            false => Self::Conflict(stored),
        }
    }
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
