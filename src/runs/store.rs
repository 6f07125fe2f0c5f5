//! The port to storage: what the domain asks of it. `storage` has the adapters.

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::model::{
    Claimed, Failure, FinishedRun, Lease, NewRun, Record, ResultStatus, Run, RunEvent, RunStatus,
    StoredResult, Submitted, TargetKind, Verdict,
};
use super::outbox::Outbox;
use crate::ids::RunId;

/// Why storage did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It cannot be reached now; the same call may succeed later.
    #[error("storage is unavailable: {0}")]
    Unavailable(String),
    /// It holds as much as it may.
    #[error("storage is full: {0}")]
    Full(String),
    /// A fault of ours or of the database.
    #[error(transparent)]
    Other(#[from] anyhow::Error),
}

/// The result of a call to storage.
pub type Result<T> = std::result::Result<T, StoreError>;

/// Code and text of the failure of a run whose worker went silent.
pub const LEASE_LOST: (&str, &str) = ("lease_lost", "its worker stopped responding");

/// Code and text of the reason for which a run was given back unfinished.
pub const SHUTDOWN: (&str, &str) = ("shutdown", "its worker is shutting down");

/// Which runs to list; newest first.
#[derive(Debug, Clone, Default)]
pub struct RunFilter {
    /// In one of these; empty for any.
    pub statuses: Vec<RunStatus>,
    /// With one of these; empty for any.
    pub verdicts: Vec<Verdict>,
    /// With all of these labels.
    pub labels: Vec<(String, String)>,
    /// Compared with an eval set of one of these ids; empty for any.
    pub eval_set_ids: Vec<String>,
    /// With traces from one of these; empty for any.
    pub target_kinds: Vec<TargetKind>,
    /// Of one of these agents, as the summary names them; empty for any.
    pub agents: Vec<String>,
    /// Submitted at this time or later.
    pub created_from: Option<DateTime<Utc>>,
    /// Submitted before this time.
    pub created_before: Option<DateTime<Utc>>,
    /// Where the page before ended.
    pub after: Option<(DateTime<Utc>, RunId)>,
    /// How many at most.
    pub limit: usize,
}

/// Which results of a run to list; by place.
#[derive(Debug, Clone, Default)]
pub struct ResultFilter {
    /// In one of these; empty for any.
    pub statuses: Vec<ResultStatus>,
    /// Of one of these evaluators; empty for any.
    pub evaluators: Vec<String>,
    /// Compared with one of these eval cases; empty for any.
    pub eval_cases: Vec<String>,
    /// The place where the page before ended.
    pub after: Option<u32>,
    /// How many at most.
    pub limit: usize,
}

/// What a look at the whole queue found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Scan {
    /// Whether a run can be claimed now.
    pub has_due: bool,
    /// Whether a lease has ended without its run.
    pub has_lost: bool,
    /// When the next lease ends or the next back-off is over.
    pub next_due: Option<Duration>,
}

/// A run that a worker still holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// The claim.
    pub lease: Lease,
    /// Whether somebody asked for the run to be stopped.
    pub cancel_requested: bool,
}

/// What became of a request to retry.
#[derive(Debug, Clone, PartialEq)]
pub enum Retried {
    /// It is queued again.
    Queued(Run),
    /// It is not in a state from which it can be retried.
    Refused(Run),
}

/// What became of a request to delete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deletion {
    /// There is no such run any more.
    Done,
    /// It is not finished, but in this status.
    Refused(RunStatus),
}

/// Order of events over all runs: events are handed out only when no earlier one can still appear.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct FeedPosition {
    /// The transaction that wrote the event.
    pub transaction: u64,
    /// The run.
    pub run: RunId,
    /// The event's number within the run.
    pub seq: u32,
}

impl FeedPosition {
    /// Before everything.
    pub const START: Self = Self { transaction: 0, run: RunId(uuid::Uuid::nil()), seq: 0 };
}

/// An event as the feed over all runs has it.
#[derive(Debug, Clone, PartialEq)]
pub struct FeedEvent {
    /// Its place in the feed.
    pub position: FeedPosition,
    /// The event.
    pub event: RunEvent,
    /// Labels of its run, for filters.
    pub labels: std::collections::BTreeMap<String, String>,
}

/// A part of the feed over all runs.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FeedPage {
    /// Events after the position asked for, in order.
    pub events: Vec<FeedEvent>,
    /// Whether there are more, now or as soon as transactions in flight have ended.
    pub has_more: bool,
}

/// Storage for runs.
///
/// Times are the storage's own clock. Every write of a worker names its lease and does nothing when the lease is
/// not held any more; what it answers says so. What changes a run that has sinks writes messages to them together with
/// the change: new results, and how it ended.
#[async_trait]
pub trait RunStore: Outbox {
    /// Stores new runs together, each queued with its first event; answers in the order given.
    async fn submit(&self, runs: &[NewRun]) -> Result<Vec<Submitted>>;

    /// Stores a run that was evaluated without being queued, with its results and events, all or nothing.
    /// Nobody can ever claim it.
    async fn record_finished(&self, finished: &FinishedRun) -> Result<()>;

    /// A run by its id.
    async fn run(&self, id: RunId) -> Result<Option<Run>>;

    /// A run's specification, as it was submitted.
    async fn spec(&self, id: RunId) -> Result<Option<String>>;

    /// Runs, newest first.
    async fn list(&self, filter: &RunFilter) -> Result<Vec<Run>>;

    /// Results of a run, by place.
    async fn results(&self, id: RunId, filter: &ResultFilter) -> Result<Vec<StoredResult>>;

    /// Ends a queued run; marks a running one; leaves a finished one as it is. `None` when there is no such run.
    async fn cancel(&self, id: RunId) -> Result<Option<Run>>;

    /// Queues a failed or cancelled run again, unless its traces were uploaded and thus not kept. `None` when there
    /// is no such run.
    async fn retry(&self, id: RunId) -> Result<Option<Retried>>;

    /// Deletes a finished run with all that belongs to it. `None` when there is no such run.
    async fn delete(&self, id: RunId) -> Result<Option<Deletion>>;

    /// Deletes the oldest runs that finished longer ago than `age`, at most `limit`; answers how many.
    async fn purge(&self, age: Duration, limit: usize) -> Result<usize>;

    /// Those of these runs that there are not, say because they were deleted.
    async fn missing(&self, runs: &[RunId]) -> Result<Vec<RunId>>;

    /// Claims the most urgent due runs, by priority then age, each under a new lease.
    async fn claim(&self, worker: &str, limit: usize, lease: Duration) -> Result<Vec<Claimed>>;

    /// Extends leases; answers with those still held.
    async fn heartbeat(&self, leases: &[Lease], lease: Duration) -> Result<Vec<Held>>;

    /// Writes results, progress and endings together, at most one record per run; answers in the order given
    /// whether each was still held. When an attempt ends, results of earlier ones are gone.
    async fn record(&self, records: &[Record]) -> Result<Vec<bool>>;

    /// Gives a run back after a failure that may pass, to be claimed after `delay`; answers whether it was held
    /// and nobody had asked for it to be stopped.
    async fn requeue(&self, lease: Lease, reason: &Failure, delay: Duration) -> Result<bool>;

    /// Gives runs back that were not finished, to be claimed at once; the attempt does not count.
    async fn release(&self, leases: &[Lease]) -> Result<()>;

    /// Settles runs whose lease ended: cancelled if that was asked for, failed if out of attempts, else queued
    /// again. Answers how many.
    async fn settle(&self) -> Result<usize>;

    /// Looks at the whole queue.
    async fn scan(&self) -> Result<Scan>;

    /// Events of runs, each after a number; by run and number, at most `limit` in all.
    async fn events(&self, after: &[(RunId, u32)], limit: usize) -> Result<Vec<RunEvent>>;

    /// Events of all runs after a position.
    async fn feed(&self, after: FeedPosition, limit: usize) -> Result<FeedPage>;

    /// The position after everything that has happened so far.
    async fn feed_end(&self) -> Result<FeedPosition>;

    /// Answers when storage can be used and is what this program needs.
    async fn check(&self) -> Result<()>;
}
