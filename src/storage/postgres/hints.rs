//! Turns notifications of PostgreSQL into hints.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{DatabaseError, DatabaseSettings, Listener, Notice};
use crate::ids::RunId;
use crate::runs::{Hint, Hints};

/// The channels that `sql/` notifies.
const CHANNELS: [&str; 4] = ["due", "events", "cancel", "deliveries"];

/// Most notices that wait. The listener replaces further ones by a notice that some were lost.
const QUEUE: usize = 1024;

/// Listens on a connection of its own and sends a hint for each notification, until the token is cancelled.
///
/// # Errors
/// `Other` if the certificates that the settings name cannot be used.
pub fn forward(
    settings: &DatabaseSettings,
    hints: Hints,
    shutdown: CancellationToken,
) -> Result<JoinHandle<()>, DatabaseError> {
    let (sender, mut notices) = mpsc::channel(QUEUE);
    let listener = Listener::spawn(settings, &CHANNELS, sender, shutdown)?;
    tokio::spawn(async move {
        while let Some(notice) = notices.recv().await {
            hints.send(hint(&notice));
        }
    });
    Ok(listener)
}

/// The hint of a notice; of one that is not understood, such as one of a newer version, it is [`Hint::All`].
fn hint(notice: &Notice) -> Hint {
    let Notice::Message { channel, payload } = notice else { return Hint::All };
    let hint = match *channel {
        "due" => payload.parse().ok().map(|delay_ms| Hint::Due(Duration::from_millis(delay_ms))),
        "deliveries" => Some(Hint::Messages),
        "cancel" => payload.parse().ok().map(Hint::Cancel),
        "events" => {
            let runs: Result<BTreeSet<RunId>, _> = payload.split(',').map(str::parse).collect();
            runs.ok().map(|runs| Hint::Events(Arc::new(runs)))
        }
        _ => None,
    };
    hint.unwrap_or(Hint::All)
}
