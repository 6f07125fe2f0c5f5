//! Extends all leases of a process in one call and learns which runs it lost and which are to be stopped.

use std::collections::HashMap;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::active::{Interruption, Shared};
use crate::runs::{Hint, HintReceiver, StoreError};

/// Runs until `done`.
pub(super) async fn keep(shared: Arc<Shared>, hints: HintReceiver, done: CancellationToken) {
    tokio::select! {
        () = done.cancelled() => {}
        () = beat_on(&shared, hints) => {}
    }
}

async fn beat_on(shared: &Shared, mut hints: HintReceiver) {
    let mut ticks = tokio::time::interval(shared.settings.heartbeat);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = concerns(shared, &mut hints) => {}
            () = shared.cancelled.notified() => {}
        }
        beat(shared).await;
    }
}

/// Waits for a hint that a run held here is to be stopped.
async fn concerns(shared: &Shared, hints: &mut HintReceiver) {
    loop {
        match hints.next().await {
            Hint::Cancel(run) if shared.active().contains_key(&run) => return,
            Hint::All => return,
            Hint::Cancel(_) | Hint::Due(_) | Hint::Events(_) | Hint::Messages => {}
        }
    }
}

async fn beat(shared: &Shared) {
    let leases = shared.leases();
    if leases.is_empty() {
        return;
    }
    // One that hangs is given up while there is time for others.
    let patience = shared.settings.lease / 3;
    let beating =
        tokio::time::timeout(patience, shared.queue.heartbeat(&leases, shared.settings.lease)).await;
    let late = |_| Err(StoreError::Unavailable(format!("no answer within {} s", patience.as_secs_f64())));
    let held = match beating.unwrap_or_else(late) {
        Ok(held) => held,
        Err(error) => {
            // Runs go on: unless another worker claims them, their leases can still be used.
            warn!("leases could not be extended; trying again: {error}");
            return;
        }
    };
    let held: HashMap<_, _> = held.into_iter().map(|held| (held.lease, held.cancel_requested)).collect();
    for lease in leases {
        match held.get(&lease) {
            Some(false) => {}
            Some(true) => shared.interrupt(lease, Interruption::Cancelled),
            None => {
                debug!(run.id = %lease.run, "run `{}` is not held any more", lease.run);
                shared.interrupt(lease, Interruption::LeaseLost);
            }
        }
    }
}
