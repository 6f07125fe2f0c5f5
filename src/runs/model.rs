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
//! `status` says whether the run was evaluated, `verdict` whether the agent passed. SQL has the same rules as CHECK
//! constraints (`sql/migrations/000001_runs.up.sql`).

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::result::Summary;
use crate::evaluation::Verdict;
use crate::ids::RunId;
use crate::spec::{Submission, TargetKind};

/// The status of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunStatus {
    /// Waits for a worker, for the first time or again.
    Queued,
    /// Is executed by a worker under a lease.
    Running,
    /// Was evaluated; the verdict says how well the agent did.
    Succeeded,
    /// Could not be evaluated; the failure says why.
    Failed,
    /// Was stopped on request.
    Cancelled,
}

impl RunStatus {
    /// The names in answers and in SQL.
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

/// Why a run failed or went back to the queue; API, CLI and webhooks show the same code and text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Stable, for programs.
    pub code: String,
    /// For people: the reason, and the remedy if there is one.
    pub message: String,
}

impl Failure {
    /// Longest text of a failure, which is stored with the run and its events, logged, and sent to sinks.
    const MAX_MESSAGE_BYTES: usize = 8 << 10;

    /// A failure with a stable code and a text; a very long text is cut.
    pub fn new(code: &str, message: impl Into<String>) -> Self {
        let mut message = message.into();
        if message.len() > Self::MAX_MESSAGE_BYTES {
            message.truncate(message.floor_char_boundary(Self::MAX_MESSAGE_BYTES));
            message.push('…');
        }
        Self { code: code.to_owned(), message }
    }
}

/// Code of the failure of a run that exceeds its deadline.
pub(crate) const DEADLINE_EXCEEDED: &str = "deadline_exceeded";

/// Progress of a running run, in evaluation units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Units whose results are stored.
    pub done: u32,
    /// All units.
    pub total: u32,
}

/// A run in its current state, without its specification.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// Its id.
    pub id: RunId,
    /// Its status.
    pub status: RunStatus,
    /// Whether the agent passed; `None` until the run was evaluated.
    pub verdict: Option<Verdict>,
    /// Number of the current or last attempt; 0 before the first.
    pub attempt: u32,
    /// Attempts after which a lost lease or a transient failure fails the run.
    pub max_attempts: u32,
    /// −100 to 100; higher ones are claimed first.
    pub priority: i16,
    /// Longest duration of one attempt.
    pub deadline: Duration,
    /// The submitter's labels.
    pub labels: BTreeMap<String, String>,
    /// Where its traces come from.
    pub target_kind: TargetKind,
    /// Id of the eval set that it is compared with.
    pub eval_set_id: Option<String>,
    /// Name of the worker that executes it, while it is running.
    pub worker: Option<String>,
    /// Its progress, while it is running.
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
    /// Whether its cancellation was requested.
    pub cancel_requested: bool,
}

impl Run {
    /// The run of a new submission: queued, never claimed.
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

/// The answer to a submission.
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
    /// The answer to a submission whose id or key belongs to the run `stored`, whose specification has this digest.
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
