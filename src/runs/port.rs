//! The port [`Runs`]: runs, their specifications and their results.

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::error::StoreResult;
use super::model::{Run, RunStatus, Submitted};
use super::result::{ResultStatus, StoredResult};
use crate::evaluation::Verdict;
use crate::ids::RunId;
use crate::spec::{Submission, TargetKind};

/// Selects a page of runs, newest first.
#[derive(Debug, Clone, Default)]
pub struct RunFilter {
    /// With one of these statuses; empty for any.
    pub statuses: Vec<RunStatus>,
    /// With one of these verdicts; empty for any.
    pub verdicts: Vec<Verdict>,
    /// With all of these labels.
    pub labels: Vec<(String, String)>,
    /// Compared with an eval set of one of these ids; empty for any.
    pub eval_set_ids: Vec<String>,
    /// With traces from one of these kinds of targets; empty for any.
    pub target_kinds: Vec<TargetKind>,
    /// Of one of these agents, as the summary names them; empty for any.
    pub agents: Vec<String>,
    /// Submitted at this time or later.
    pub created_from: Option<DateTime<Utc>>,
    /// Submitted before this time.
    pub created_before: Option<DateTime<Utc>>,
    /// The last run of the page before.
    pub after: Option<(DateTime<Utc>, RunId)>,
    /// Most runs of the page.
    pub limit: usize,
}

/// Selects a page of the results of a run, by place.
#[derive(Debug, Clone, Default)]
pub struct ResultFilter {
    /// With one of these statuses; empty for any.
    pub statuses: Vec<ResultStatus>,
    /// Of one of these evaluators; empty for any.
    pub evaluators: Vec<String>,
    /// Compared with one of these eval cases; empty for any.
    pub eval_cases: Vec<String>,
    /// The last place of the page before.
    pub after: Option<u32>,
    /// Most results of the page.
    pub limit: usize,
}

/// The answer to a request to retry a run.
#[derive(Debug, Clone, PartialEq)]
pub enum Retried {
    /// The run is queued again.
    Queued(Run),
    /// The run is in a status from which it cannot be retried, or its traces were uploaded.
    Refused(Run),
}

/// Storage for runs. Times are those of the storage's own clock.
///
/// A call that ends a run also writes the messages to its sinks, in the same transaction.
#[async_trait]
pub trait Runs: Send + Sync {
    /// Stores new runs, all or none, each queued with its first event; answers in the order given.
    async fn submit(&self, submissions: &[Submission]) -> StoreResult<Vec<Submitted>>;

    /// A run by its id.
    async fn run(&self, id: RunId) -> StoreResult<Option<Run>>;

    /// A run's specification, as it was submitted.
    async fn spec(&self, id: RunId) -> StoreResult<Option<String>>;

    /// A page of runs, newest first.
    async fn list(&self, filter: &RunFilter) -> StoreResult<Vec<Run>>;

    /// A page of the results of a run, by place.
    async fn results(&self, id: RunId, filter: &ResultFilter) -> StoreResult<Vec<StoredResult>>;

    /// Cancels a queued run at once and requests the cancellation of a running one; a finished one stays as it is.
    /// `None` when there is no such run.
    async fn cancel(&self, id: RunId) -> StoreResult<Option<Run>>;

    /// Queues a failed or cancelled run again, unless its traces were uploaded, since those are not kept. `None` when
    /// there is no such run.
    async fn retry(&self, id: RunId) -> StoreResult<Option<Retried>>;

    /// Succeeds if storage can be reached and has the schema that this program needs.
    async fn check(&self) -> StoreResult<()>;
}
