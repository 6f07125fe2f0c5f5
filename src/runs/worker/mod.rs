//! The worker of a process: claims runs, executes them, holds their leases, writes what comes out.
//!
//! `claimer` asks for as many runs as there are free slots, `execution` runs each in a task of its own, `heartbeat`
//! extends all leases and learns of cancellations, `writer` stores results and endings in groups. They share the
//! table of active runs kept here. Storage decides everything: whoever has lost a lease can write nothing.

mod attempt;
mod claimer;
mod heartbeat;
mod writer;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use super::execution::Executor;
use super::hints::Hints;
use super::model::Lease;
use super::store::RunStore;
use crate::ids::RunId;
use writer::Writer;

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
    fn backoff(&self, attempt: u32) -> Duration {
        let doubled = self.first_backoff.saturating_mul(1 << attempt.saturating_sub(1).min(16));
        doubled.min(Self::MAX_BACKOFF).mul_f64(0.5 + fastrand::f64() / 2.0)
    }
}

/// When a worker has to end.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    /// Claim no more; what runs may finish within the grace period.
    pub soon: CancellationToken,
    /// Give everything back at once.
    pub now: CancellationToken,
}

/// Why an active run is stopped before its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Interruption {
    /// Somebody asked for it.
    Cancelled,
    /// Another worker may have it.
    LeaseLost,
    /// This process ends.
    Shutdown,
}

/// A run that this process holds.
#[derive(Debug)]
struct Active {
    lease: Lease,
    /// Ends the execution.
    cancel: CancellationToken,
    interruption: Option<Interruption>,
}

/// What the tasks of a worker share.
struct Shared {
    settings: WorkerSettings,
    store: Arc<dyn RunStore>,
    executor: Arc<dyn Executor>,
    writer: Writer,
    active: Mutex<HashMap<RunId, Active>>,
    /// Told when a slot becomes free.
    freed: Notify,
    /// Told when a run that is on the table by now was to be stopped while it was being claimed.
    cancelled: Notify,
}

impl Shared {
    fn active(&self) -> MutexGuard<'_, HashMap<RunId, Active>> {
        // Single insertions and removals leave the table whole.
        self.active.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn free_slots(&self) -> usize {
        self.settings.slots.saturating_sub(self.active().len())
    }

    fn interrupt(&self, lease: Lease, why: Interruption) {
        if let Some(active) = self.active().get_mut(&lease.run).filter(|active| active.lease == lease) {
            active.interruption.get_or_insert(why);
            active.cancel.cancel();
        }
    }

    fn interruption(&self, lease: Lease) -> Option<Interruption> {
        self.active().get(&lease.run).filter(|active| active.lease == lease)?.interruption
    }

    /// Takes a run off the table; its slot is free.
    fn let_go(&self, lease: Lease) {
        let mut active = self.active();
        if active.get(&lease.run).is_some_and(|active| active.lease == lease) {
            active.remove(&lease.run);
        }
        drop(active);
        self.freed.notify_one();
    }

    fn leases(&self) -> Vec<Lease> {
        self.active().values().map(|active| active.lease).collect()
    }
}

/// Works until told to stop, then finishes or gives back what it holds.
pub async fn work(
    store: Arc<dyn RunStore>,
    hints: &Hints,
    executor: Arc<dyn Executor>,
    settings: WorkerSettings,
    stop: Stop,
) {
    let writer = Writer::spawn(store.clone());
    let (active, freed, cancelled) = (Mutex::default(), Notify::new(), Notify::new());
    let shared = Arc::new(Shared { settings, store, executor, writer, active, freed, cancelled });
    let (attempts, done) = (TaskTracker::new(), CancellationToken::new());
    let name = &shared.settings.name;
    info!(worker = %name, slots = shared.settings.slots, "worker `{name}` takes runs");
    let heartbeat = tokio::spawn(heartbeat::keep(shared.clone(), hints.subscribe(), done.clone()));
    claimer::claim_until(&shared, hints.subscribe(), &attempts, &stop.soon).await;
    attempts.close();
    wind_down(&shared, &attempts, &stop).await;
    done.cancel();
    let _ = heartbeat.await;
    info!(worker = %name, "worker `{name}` has stopped");
}

/// How long interrupted runs get to end; they only have to notice.
const INTERRUPTED_GRACE: Duration = Duration::from_secs(5);

async fn wind_down(shared: &Shared, attempts: &TaskTracker, stop: &Stop) {
    let held = attempts.len();
    if held > 0 {
        let grace = shared.settings.grace;
        info!(runs = held, grace_ms = grace.as_millis(), "waiting for {held} runs to finish");
        tokio::select! {
            () = attempts.wait() => return,
            () = tokio::time::sleep(grace) => {}
            () = stop.now.cancelled() => {}
        }
    }
    let leases = shared.leases();
    if leases.is_empty() {
        return;
    }
    leases.iter().for_each(|lease| shared.interrupt(*lease, Interruption::Shutdown));
    let _ = tokio::time::timeout(INTERRUPTED_GRACE, attempts.wait()).await;
    // Those that finished meanwhile have lost their lease and are not touched.
    let release = tokio::time::timeout(INTERRUPTED_GRACE, shared.store.release(&leases));
    match release.await {
        Ok(Ok(())) => info!("gave back to the queue what was not finished"),
        Ok(Err(error)) => warn!("runs could not be given back; their leases will end: {error}"),
        Err(_) => warn!("runs could not be given back in time; their leases will end"),
    }
}
