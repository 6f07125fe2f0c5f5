//! The table of runs that a process holds, and the rest of what the tasks of its worker share.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::execution::Executor;
use super::model::Lease;
use super::port::Queue;
use super::writer::Writer;
use crate::ids::RunId;
use crate::pace::at_most;

/// How a worker works; checked by `config`.
#[derive(Debug, Clone)]
pub struct WorkerSettings {
    /// Name in runs and events, unique among the processes.
    pub name: String,
    /// Runs executed at a time.
    pub slots: usize,
    /// How long a claim holds without a heartbeat.
    pub lease: Duration,
    /// How often leases are extended; at most half of `lease`.
    pub heartbeat: Duration,
    /// How often the queue is looked at although no hint came.
    pub poll: Duration,
    /// How long runs may go on after a stop was asked for, before they are given back.
    pub grace: Duration,
    /// Wait before the second attempt after a transient failure; doubles with each.
    pub first_backoff: Duration,
}

impl WorkerSettings {
    /// Longest wait between attempts.
    const MAX_BACKOFF: Duration = Duration::from_secs(300);

    /// Wait after attempt `attempt` (from 1) failed, between half of it and all of it so that runs that failed
    /// together do not come back together.
    pub(super) fn backoff(&self, attempt: u32) -> Duration {
        let doubled = self.first_backoff.saturating_mul(1 << attempt.saturating_sub(1).min(16));
        at_most(doubled.min(Self::MAX_BACKOFF))
    }
}

/// Why an active run is stopped before its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Interruption {
    /// Somebody asked for it.
    Cancelled,
    /// Another worker may have it.
    LeaseLost,
    /// This process ends.
    Shutdown,
}

/// A run that this process holds.
#[derive(Debug)]
pub(super) struct Active {
    pub(super) lease: Lease,
    /// Ends the execution.
    pub(super) cancel: CancellationToken,
    pub(super) interruption: Option<Interruption>,
}

/// What the tasks of a worker share.
pub(super) struct Shared {
    pub(super) settings: WorkerSettings,
    pub(super) queue: Arc<dyn Queue>,
    pub(super) executor: Arc<dyn Executor>,
    pub(super) writer: Writer,
    pub(super) active: Mutex<HashMap<RunId, Active>>,
    /// Told when a slot becomes free.
    pub(super) freed: Notify,
    /// Told when a run that is on the table by now was to be stopped while it was being claimed.
    pub(super) cancelled: Notify,
}

impl Shared {
    pub(super) fn active(&self) -> MutexGuard<'_, HashMap<RunId, Active>> {
        // Single insertions and removals leave the table whole.
        self.active.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn free_slots(&self) -> usize {
        self.settings.slots.saturating_sub(self.active().len())
    }

    pub(super) fn interrupt(&self, lease: Lease, why: Interruption) {
        if let Some(active) = self.active().get_mut(&lease.run).filter(|active| active.lease == lease) {
            active.interruption.get_or_insert(why);
            active.cancel.cancel();
        }
    }

    pub(super) fn interruption(&self, lease: Lease) -> Option<Interruption> {
        self.active().get(&lease.run).filter(|active| active.lease == lease)?.interruption
    }

    /// Takes a run off the table; its slot is free.
    pub(super) fn let_go(&self, lease: Lease) {
        let mut active = self.active();
        if active.get(&lease.run).is_some_and(|active| active.lease == lease) {
            active.remove(&lease.run);
        }
        drop(active);
        self.freed.notify_one();
    }

    pub(super) fn leases(&self) -> Vec<Lease> {
        self.active().values().map(|active| active.lease).collect()
    }
}
