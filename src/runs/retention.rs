//! Deletes finished runs that are old enough, if the operator says how old that is.
//!
//! Every process with storage does it and none leads: each deletes what the others have not in hand, a few runs at a time
//! with a pause in between, so that the queue never waits for it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::error::StoreResult;
use super::model::RunStatus;
use crate::ids::RunId;

/// What became of a request to delete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deletion {
    /// There is no such run any more.
    Done,
    /// It is not finished, but in this status.
    Refused(RunStatus),
}

/// Storage that forgets runs.
#[async_trait]
pub trait Retention: Send + Sync {
    /// Deletes a finished run with all that belongs to it. `None` when there is no such run.
    async fn delete(&self, id: RunId) -> StoreResult<Option<Deletion>>;

    /// Deletes the oldest runs that finished longer ago than `age` and have no message on its way, at most `limit`;
    /// answers how many.
    async fn purge(&self, age: Duration, limit: usize) -> StoreResult<usize>;
}

/// Runs deleted by one statement: their results and events may be thousands of rows each.
const BATCH: usize = 50;

/// Rest between two statements.
const PAUSE: Duration = Duration::from_millis(100);

/// How often there is a look for old runs: several times within their age, and no more than needed.
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

/// Deletes all that are old by now; answers how many.
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
