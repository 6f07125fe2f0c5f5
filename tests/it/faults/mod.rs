//! Faults: real processes that are killed, stopped, frozen and cut off, over a real database that goes away.
//!
//! Jobs are held by an evaluator that waits for a file (`work`), so that nothing here sleeps for luck. What came of it
//! is read from the tables (`truth`).

mod access;
mod cancelling;
mod client;
mod crashes;
mod network;
mod processes;
mod restarts;
mod starting;
mod stopping;
mod storm;
mod truth;
mod work;
mod workers;

use std::future::Future;
use std::time::Duration;

use tokio::time::{Instant, sleep};

/// Against hanging; nothing here takes that long.
const PATIENCE: Duration = Duration::from_secs(90);

/// Leases that end soon.
const SHORT_LEASE: [&str; 4] = ["--lease-s", "2", "--heartbeat-s", "1"];

/// Leases and intervals that do not end during a test: what happens then happens because of a hint.
const LONG_LEASE: [&str; 6] = ["--lease-s", "600", "--heartbeat-s", "300", "--worker-poll-interval-s", "300"];

/// Waits for what has to come about.
async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, mut look: impl FnMut() -> F) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < end, "this did not come about: {what}");
        sleep(Duration::from_millis(10)).await;
    }
}
