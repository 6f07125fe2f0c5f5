//! Claims runs for free slots: at once when hinted, and by a scan for what hints missed.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use super::{Active, Shared, attempt};
use crate::runs::hints::{Hint, HintReceiver};
use crate::runs::model::Claimed;
use crate::runs::store::StoreError;

/// Waits between attempts to reach storage that cannot be reached.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const MAX_PAUSE: Duration = Duration::from_secs(5);

/// Wait before the next look when leases had ended that were not settled: too many, or another process is at it.
const MORE_TO_SETTLE: Duration = Duration::from_millis(50);

/// How long a look under way may go on when the worker has to stop.
const LAST_LOOK: Duration = Duration::from_secs(5);

/// Claims until `stop`; each run is executed by a task of `attempts`.
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
        pause: FIRST_PAUSE,
        is_storage_away: false,
    };
    claimer.run(stop).await;
}

struct Claimer<'a> {
    shared: &'a Arc<Shared>,
    /// Registered before the first look, so that nothing falls between.
    hints: HintReceiver,
    attempts: &'a TaskTracker,
    /// Whether a claim may find something.
    may_be_due: bool,
    /// When to look at the whole queue.
    scan_at: Instant,
    pause: Duration,
    is_storage_away: bool,
}

impl Claimer<'_> {
    async fn run(mut self, stop: &CancellationToken) {
        while !stop.is_cancelled() {
            // Not dropped half-way, unless storage is frozen: nobody would hold what a claim had got.
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
        self.note_outcome(looked).await;
        if !(self.may_be_due && self.shared.free_slots() > 0) {
            self.wait().await;
        }
    }

    async fn look(&mut self) -> Result<(), StoreError> {
        if self.scan_at <= Instant::now() {
            self.scan().await?;
        }
        let free = self.shared.free_slots();
        if self.may_be_due && free > 0 {
            let Shared { store, settings, .. } = &**self.shared;
            let claimed = store.claim(&settings.name, free, settings.lease).await?;
            // As many as asked for: there may be more.
            self.may_be_due = claimed.len() == free;
            claimed.into_iter().for_each(|claimed| self.start(claimed));
        }
        Ok(())
    }

    /// Settles lost leases and learns when to look again.
    async fn scan(&mut self) -> Result<(), StoreError> {
        let mut scan = self.shared.store.scan().await?;
        if scan.has_lost {
            let settled = self.shared.store.settle().await?; // as many as fit into one group
            scan = self.shared.store.scan().await?;
            info!(runs = settled, "settled {settled} runs whose leases had ended");
        }
        self.may_be_due |= scan.has_due;
        // Jitter keeps processes that started together from scanning together.
        let poll = self.shared.settings.poll.mul_f64(0.8 + fastrand::f64() * 0.4);
        // A moment later than due, because it is due only after that instant.
        let due = scan.next_due.map_or(poll, |due| due + Duration::from_millis(5));
        let due = if scan.has_lost { MORE_TO_SETTLE } else { due };
        self.scan_at = Instant::now() + due.min(poll);
        Ok(())
    }

    /// Starts the attempt. The run is on the table before its task exists, so a heartbeat never misses it.
    fn start(&self, claimed: Claimed) {
        let cancel = CancellationToken::new();
        let active = Active { lease: claimed.lease, cancel: cancel.clone(), interruption: None };
        if let Some(earlier) = self.shared.active().insert(claimed.lease.run, active) {
            earlier.cancel.cancel(); // its lease was lost before a heartbeat could tell
        }
        self.attempts.spawn(attempt::execute(self.shared.clone(), claimed, cancel));
    }

    async fn wait(&mut self) {
        let has_work = self.may_be_due;
        tokio::select! {
            hint = self.hints.next() => self.note(&hint),
            () = self.shared.freed.notified(), if has_work => {}
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
            // The heartbeat was told too, but maybe before the answer to the claim had come.
            Hint::Cancel(run) if self.shared.active().contains_key(run) => self.shared.cancelled.notify_one(),
            Hint::Events(_) | Hint::Cancel(_) | Hint::Deliveries => {}
        }
    }

    /// Logs an outage once and its end once; waits longer each time.
    async fn note_outcome(&mut self, outcome: Result<(), StoreError>) {
        let Err(error) = outcome else {
            if std::mem::take(&mut self.is_storage_away) {
                info!("storage is back; claiming runs again");
            }
            self.pause = FIRST_PAUSE;
            return;
        };
        if !std::mem::replace(&mut self.is_storage_away, true) {
            warn!("runs cannot be claimed; trying again: {error}");
        }
        self.may_be_due = true;
        tokio::time::sleep(self.pause.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
        self.pause = (self.pause * 2).min(MAX_PAUSE);
    }
}
