//! Extends all leases of a process in one call, and stops attempts whose lease is lost or whose run is to be cancelled.

use std::collections::HashMap;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::active::{Interruption, Shared};
use crate::runs::{Hint, HintReceiver, StoreError};

/// Extends leases until `done`.
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
            () = cancellation(shared, &mut hints) => {}
            () = shared.cancelled.notified() => {}
        }
        beat(shared).await;
    }
}

/// Waits for a hint that an active run is to be cancelled.
async fn cancellation(shared: &Shared, hints: &mut HintReceiver) {
    loop {
        match hints.next().await {
            Hint::Cancel(run) if shared.active().contains_key(&run) => return,
            Hint::All => return,
            Hint::Cancel(_) | Hint::Due(_) | Hint::Events(_) | Hint::Messages => {}
        }
    }
}

/// Extends all leases once.
async fn beat(shared: &Shared) {
    let leases = shared.leases();
    if leases.is_empty() {
        return;
    }
    // A call that hangs is given up early, so that others can still extend the leases before they end.
    let patience = shared.settings.lease / 3;
    let beating =
        tokio::time::timeout(patience, shared.queue.heartbeat(&leases, shared.settings.lease)).await;
    let late = |_| Err(StoreError::Unavailable(format!("no answer within {} s", patience.as_secs_f64())));
    let held = match beating.unwrap_or_else(late) {
        Ok(held) => held,
        Err(error) => {
            // Attempts go on: even an expired lease is valid until a process reaps it.
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
