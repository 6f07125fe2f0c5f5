//! When and how the process has to end.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// Asks tasks to end, in two steps.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    /// Claim no more; what runs may finish within the grace period.
    pub soon: CancellationToken,
    /// Give everything back at once.
    pub now: CancellationToken,
}

/// Cancels `soon` on the first SIGTERM or SIGINT and `now` on the second.
///
/// # Errors
/// The signals cannot be listened for.
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

async fn either(terminate: &mut Signal, interrupt: &mut Signal) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}
