//! Deletion of finished runs: of one on request, and of all that are older than the operator keeps them.
//!
//! Every process with storage deletes old runs, without a leader: a process skips runs that another has locked. It
//! deletes a few at a time with pauses in between, so that the queue does not wait.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::error::StoreResult;
use super::model::RunStatus;
use crate::ids::RunId;

/// The answer to a request to delete a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deletion {
    /// The run is deleted.
    Done,
    /// The run is not finished; it has this status.
    Refused(RunStatus),
}

/// Storage that deletes runs.
#[async_trait]
pub trait Retention: Send + Sync {
    /// Deletes a finished run with its results, events and messages. `None` when there is no such run.
    async fn delete(&self, id: RunId) -> StoreResult<Option<Deletion>>;

    /// Deletes the oldest runs that finished longer ago than `age` and have no pending message, at most `limit`;
    /// returns their number.
    async fn purge(&self, age: Duration, limit: usize) -> StoreResult<usize>;
}

/// Runs deleted by one statement: their results and events may be thousands of rows each.
const BATCH: usize = 50;

/// Pause between two statements.
const PAUSE: Duration = Duration::from_millis(100);

/// Bounds of the interval between two searches for old runs, which is a tenth of their age.
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(600);

/// Deletes runs that finished longer ago than `age`, until `end`.
pub async fn keep_for(age: Duration, store: Arc<dyn Retention>, end: CancellationToken) {
    let interval = (age / 10).clamp(SHORTEST, LONGEST);
    let cleaning = async {
        loop {
            tokio::time::sleep(spread(interval)).await;
            match purge(&*store, age).await {
                Ok(0) => {}
                Ok(runs) => info!(runs, "deleted {runs} runs that finished more than {age:?} ago"),
                Err(error) => warn!("old runs could not be deleted; trying again: {error}"),
            }
        }
    };
    end.run_until_cancelled(cleaning).await;
}

/// Deletes all runs that are old by now; returns their number.
async fn purge(store: &dyn Retention, age: Duration) -> StoreResult<usize> {
    let mut total = 0;
    loop {
        let deleted = store.purge(age, BATCH).await?;
        total += deleted;
        if deleted < BATCH {
            return Ok(total);
        }
        tokio::time::sleep(spread(PAUSE)).await;
    }
}

/// A duration between half and three halves of `mean`: processes that started together drift apart, and seldom meet at
/// the same rows.
fn spread(mean: Duration) -> Duration {
    mean.mul_f64(0.5 + fastrand::f64())
}
