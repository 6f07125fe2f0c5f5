//! Claims runs for free slots: at once after a hint, and after scans, which find runs whose hints were lost.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use super::active::{Active, Shared};
use super::attempt;
use super::model::Claimed;
use crate::pace::{Pace, about};
use crate::runs::{Hint, HintReceiver, StoreError};

/// Pauses between claims while storage is unavailable.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const MAX_PAUSE: Duration = Duration::from_secs(5);

/// Wait before the next scan after lost leases were seen: there may be more than one call reaps, or another process has
/// locked them.
const MORE_TO_REAP: Duration = Duration::from_millis(50);

/// Longest wait for a claim under way when the worker has to stop.
const LAST_LOOK: Duration = Duration::from_secs(5);

/// Claims runs until `stop`; a task of `attempts` executes each.
pub(super) async fn claim_until(
    shared: &Arc<Shared>,
    hints: HintReceiver,
    attempts: &TaskTracker,
    stop: &CancellationToken,
) {
    let claimer = Claimer {
        shared,
        hints,
        attempts,
        may_be_due: true,
        scan_at: Instant::now(),
        pace: Pace::new(FIRST_PAUSE, MAX_PAUSE),
    };
    claimer.run(stop).await;
}

struct Claimer<'a> {
    shared: &'a Arc<Shared>,
    /// Subscribed before the first look, so that no run is missed.
    hints: HintReceiver,
    attempts: &'a TaskTracker,
    /// Whether a claim may find something.
    may_be_due: bool,
    /// When to scan the queue.
    scan_at: Instant,
    pace: Pace,
}

impl Claimer<'_> {
    async fn run(mut self, stop: &CancellationToken) {
        while !stop.is_cancelled() {
            // A stop does not drop a claim half-way, unless storage hangs: the runs it got would be executed by nobody
            // until their leases end.
            let looked = tokio::select! {
                looked = self.look() => looked,
                () = async { (stop.cancelled().await, tokio::time::sleep(LAST_LOOK).await).1 } => return,
            };
            tokio::select! {
                () = self.rest(looked) => {}
                () = stop.cancelled() => {}
            }
        }
    }

    /// Waits until another look is worth it.
    async fn rest(&mut self, looked: Result<(), StoreError>) {
        self.back_off(looked).await;
        if !(self.may_be_due && self.shared.free_slots() > 0) {
            self.wait().await;
        }
    }

    /// Scans if it is time to, then claims runs for the free slots.
    async fn look(&mut self) -> Result<(), StoreError> {
        if self.scan_at <= Instant::now() {
            self.scan().await?;
        }
        let free = self.shared.free_slots();
        if self.may_be_due && free > 0 {
            let Shared { queue, settings, .. } = &**self.shared;
            let claimed = queue.claim(&settings.name, free, settings.lease).await?;
            self.may_be_due = claimed.len() == free; // with fewer, no others are due
            claimed.into_iter().for_each(|claimed| self.start(claimed));
        }
        Ok(())
    }

    /// Scans the queue, reaps lost leases and sets the time of the next scan.
    async fn scan(&mut self) -> Result<(), StoreError> {
        let mut scan = self.shared.queue.scan().await?;
        if scan.has_lost {
            let reaped = self.shared.queue.reap().await?; // as many as one call takes
            scan = self.shared.queue.scan().await?;
            info!(runs = reaped, "took back {reaped} runs whose leases had ended");
        }
        self.may_be_due |= scan.has_due;
        let poll = about(self.shared.settings.poll);
        // A moment later: `lease_until < now()` is false at the very instant.
        let due = scan.next_due.map_or(poll, |due| due + Duration::from_millis(5));
        let due = if scan.has_lost { MORE_TO_REAP } else { due };
        self.scan_at = Instant::now() + due.min(poll);
        Ok(())
    }

    /// Starts an attempt. The run is on the table before its task exists, so that heartbeats extend its lease from the
    /// beginning.
    fn start(&self, claimed: Claimed) {
        let cancel = CancellationToken::new();
        let active = Active { lease: claimed.lease, cancel: cancel.clone(), interruption: None };
        if let Some(earlier) = self.shared.active().insert(claimed.lease.run, active) {
            earlier.cancel.cancel(); // its lease ended, and this process claimed the run before a heartbeat noticed
        }
        self.attempts.spawn(attempt::execute(self.shared.clone(), claimed, cancel));
    }

    async fn wait(&mut self) {
        let needs_slot = self.may_be_due;
        tokio::select! {
            hint = self.hints.next() => self.note(&hint),
            () = self.shared.freed.notified(), if needs_slot => {}
            () = tokio::time::sleep_until(self.scan_at) => {}
        }
        while let Some(hint) = self.hints.next().now_or_never() {
            self.note(&hint);
        }
    }

    fn note(&mut self, hint: &Hint) {
        match hint {
            Hint::Due(Duration::ZERO) => self.may_be_due = true,
            Hint::Due(delay) => self.scan_at = self.scan_at.min(Instant::now() + *delay),
            Hint::All => (self.may_be_due, self.scan_at) = (true, Instant::now()),
            // The heartbeat task has this hint too, but may have ignored it: the run was not on the table until the
            // answer to its claim came.
            Hint::Cancel(run) if self.shared.active().contains_key(run) => self.shared.cancelled.notify_one(),
            Hint::Events(_) | Hint::Cancel(_) | Hint::Messages => {}
        }
    }

    /// Pauses after a failed look, longer each time; logs an outage once and its end once.
    async fn back_off(&mut self, looked: Result<(), StoreError>) {
        let Err(error) = looked else {
            if self.pace.succeeded() {
                info!("storage is back; claiming runs again");
            }
            return;
        };
        if self.pace.failed() {
            warn!("runs cannot be claimed; trying again: {error}");
        }
        self.may_be_due = true;
        tokio::time::sleep(self.pace.pause()).await;
    }
}
