//! Shutdown of the process in two steps, by signals.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// Asks tasks to end, in two steps.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    /// Take no new work; finish the work under way within the grace period.
    pub soon: CancellationToken,
    /// Give all work back at once.
    pub now: CancellationToken,
}

/// Cancels `soon` on the first SIGTERM or SIGINT and `now` on the second.
///
/// # Errors
/// The signal handlers cannot be installed.
pub fn on_signals(stop: &Stop) -> std::io::Result<()> {
    let Stop { soon, now } = stop.clone();
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::spawn(async move {
        either(&mut terminate, &mut interrupt).await;
        info!("stopping; a second signal stops at once");
        soon.cancel();
        either(&mut terminate, &mut interrupt).await;
        warn!("stopping at once");
        now.cancel();
    });
    Ok(())
}

/// Waits for the next of the two signals.
async fn either(terminate: &mut Signal, interrupt: &mut Signal) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}
