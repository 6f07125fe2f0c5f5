//! The worker of a process, from its start until it has given back unfinished runs.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use super::active::{Interruption, Shared, WorkerSettings};
use super::execution::Executor;
use super::port::Queue;
use super::writer::Writer;
use super::{claimer, heartbeat};
use crate::runs::Hints;
use crate::shutdown::Stop;

/// Claims and executes runs until told to stop, then finishes them within the grace period or gives them back.
pub async fn work(
    queue: Arc<dyn Queue>,
    hints: &Hints,
    executor: Arc<dyn Executor>,
    settings: WorkerSettings,
    stop: Stop,
) {
    let writer = Writer::spawn(queue.clone());
    let (active, freed, cancelled) = (Mutex::default(), Notify::new(), Notify::new());
    let shared = Arc::new(Shared { settings, queue, executor, writer, active, freed, cancelled });
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

/// Time that interrupted attempts get to end; they only have to notice. Also the longest wait for giving back.
const INTERRUPTED_GRACE: Duration = Duration::from_secs(5);

/// Waits for attempts to finish within the grace period, then interrupts them and gives their runs back.
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
    // Runs that finished meanwhile have no lease any more, so the call leaves them alone.
    let release = tokio::time::timeout(INTERRUPTED_GRACE, shared.queue.release(&leases));
    match release.await {
        Ok(Ok(())) => info!("gave unfinished runs back to the queue"),
        Ok(Err(error)) => warn!("runs could not be given back; their leases will end: {error}"),
        Err(_) => warn!("runs could not be given back in time; their leases will end"),
    }
}
