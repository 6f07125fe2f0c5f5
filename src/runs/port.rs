//! The port to storage: runs, their specifications and their results.

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::error::StoreResult;
use super::model::{Run, RunStatus, Submitted};
use super::result::{ResultStatus, StoredResult};
use crate::evaluation::Verdict;
use crate::ids::RunId;
use crate::spec::{Submission, TargetKind};

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

/// What became of a request to retry.
#[derive(Debug, Clone, PartialEq)]
pub enum Retried {
    /// It is queued again.
    Queued(Run),
    /// It is not in a state from which it can be retried.
    Refused(Run),
}

/// Storage for runs. Times are the storage's own clock.
///
/// A call that ends a run with sinks writes the messages that tell of it in the same transaction.
#[async_trait]
pub trait Runs: Send + Sync {
    /// Stores new runs together, each queued with its first event; answers in the order given.
    async fn submit(&self, submissions: &[Submission]) -> StoreResult<Vec<Submitted>>;

    /// A run by its id.
    async fn run(&self, id: RunId) -> StoreResult<Option<Run>>;

    /// A run's specification, as it was submitted.
    async fn spec(&self, id: RunId) -> StoreResult<Option<String>>;

    /// Runs, newest first.
    async fn list(&self, filter: &RunFilter) -> StoreResult<Vec<Run>>;

    /// Results of a run, by place.
    async fn results(&self, id: RunId, filter: &ResultFilter) -> StoreResult<Vec<StoredResult>>;

    /// Ends a queued run; marks a running one; leaves a finished one as it is. `None` when there is no such run.
    async fn cancel(&self, id: RunId) -> StoreResult<Option<Run>>;

    /// Queues a failed or cancelled run again, unless its traces were uploaded and thus not kept. `None` when there
    /// is no such run.
    async fn retry(&self, id: RunId) -> StoreResult<Option<Retried>>;

    /// Answers when storage can be used and has the schema that this program needs.
    async fn check(&self) -> StoreResult<()>;
}
