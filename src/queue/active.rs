//! The table of active runs and the rest of the state that the tasks of a worker share.

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
use crate::pace::half_to_all;

/// Settings of a worker; checked by `config`.
#[derive(Debug, Clone)]
pub struct WorkerSettings {
    /// Name in runs and events, unique among the processes.
    pub name: String,
    /// Runs executed at a time.
    pub slots: usize,
    /// Length of a lease from its last heartbeat.
    pub lease: Duration,
    /// Interval of heartbeats; at most half of `lease`.
    pub heartbeat: Duration,
    /// Interval of looking at the queue although no hint came.
    pub poll: Duration,
    /// Time that runs get to finish after a stop was requested, before they are given back.
    pub grace: Duration,
    /// Wait before the second attempt after a transient failure; doubles with each attempt.
    pub first_backoff: Duration,
}

impl WorkerSettings {
    /// Longest wait between attempts.
    const MAX_BACKOFF: Duration = Duration::from_secs(300);

    /// Wait after attempt number `attempt` failed, with jitter, so that runs that failed together do not come back
    /// together.
    pub(super) fn backoff(&self, attempt: u32) -> Duration {
        let doubled = self.first_backoff.saturating_mul(1 << attempt.saturating_sub(1).min(16));
        half_to_all(doubled.min(Self::MAX_BACKOFF))
    }
}

/// Why an attempt is stopped before its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Interruption {
    /// Cancellation of the run was requested.
    Cancelled,
    /// The lease is lost; another worker may execute the run.
    LeaseLost,
    /// The process ends.
    Shutdown,
}

/// A run that this process executes.
#[derive(Debug)]
pub(super) struct Active {
    pub(super) lease: Lease,
    /// Stops the attempt.
    pub(super) cancel: CancellationToken,
    pub(super) interruption: Option<Interruption>,
}

/// State that the tasks of a worker share.
pub(super) struct Shared {
    pub(super) settings: WorkerSettings,
    pub(super) queue: Arc<dyn Queue>,
    pub(super) executor: Arc<dyn Executor>,
    pub(super) writer: Writer,
    pub(super) active: Mutex<HashMap<RunId, Active>>,
    /// Notified when a slot becomes free.
    pub(super) freed: Notify,
    /// Notified when the cancellation of an active run was requested, maybe before the answer to its claim had come.
    pub(super) cancelled: Notify,
}

impl Shared {
    pub(super) fn active(&self) -> MutexGuard<'_, HashMap<RunId, Active>> {
        // A panic cannot leave the table half changed: each change is one insertion or removal.
        self.active.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn free_slots(&self) -> usize {
        self.settings.slots.saturating_sub(self.active().len())
    }

    /// Stops the attempt under a lease; of several reasons the first one counts.
    pub(super) fn interrupt(&self, lease: Lease, why: Interruption) {
        if let Some(active) = self.active().get_mut(&lease.run).filter(|active| active.lease == lease) {
            active.interruption.get_or_insert(why);
            active.cancel.cancel();
        }
    }

    /// Why the attempt under a lease was stopped, if it was.
    pub(super) fn interruption(&self, lease: Lease) -> Option<Interruption> {
        self.active().get(&lease.run).filter(|active| active.lease == lease)?.interruption
    }

    /// Removes a run from the table, which frees its slot.
    pub(super) fn remove(&self, lease: Lease) {
        let mut active = self.active();
        // The run may have been claimed here again, under a new lease, and that entry stays.
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
