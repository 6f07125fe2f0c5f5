//! Deletes finished runs that are old enough, if the operator says how old that is.
//!
//! Every process with storage does it and none leads: each deletes what the others have not in hand, a few runs at a time
//! with a pause in between, so that the queue never waits for it.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::store::{Result, RunStore};

/// Runs deleted by one statement: their results and events may be thousands of rows each.
const BATCH: usize = 50;

/// Rest between two statements.
const PAUSE: Duration = Duration::from_millis(100);

/// How often there is a look for old runs: several times within their age, and no more than needed.
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(600);

/// Deletes runs that finished longer ago than `age`, until `end`.
pub async fn keep_for(age: Duration, store: Arc<dyn RunStore>, end: CancellationToken) {
    let interval = (age / 10).clamp(SHORTEST, LONGEST);
    let cleaning = async {
        loop {
            // Jitter keeps processes that started together from looking together.
            tokio::time::sleep(interval.mul_f64(0.5 + fastrand::f64())).await;
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
async fn purge(store: &dyn RunStore, age: Duration) -> Result<usize> {
    let mut total = 0;
    loop {
        let deleted = store.purge(age, BATCH).await?;
        total += deleted;
        if deleted < BATCH {
            return Ok(total);
        }
        tokio::time::sleep(PAUSE.mul_f64(0.5 + fastrand::f64())).await;
    }
}
