//! Hints that stored rows may have changed.
//!
//! A hint only says when to look: receivers act on the rows alone, and also look from time to time. So a lost hint costs
//! time and nothing else.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::broadcast;

use crate::ids::RunId;

/// A change that may have happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hint {
    /// A run can be claimed, now or after a while.
    Due(Duration),
    /// These runs have new events.
    Events(Arc<BTreeSet<RunId>>),
    /// Cancellation of this running run was requested.
    Cancel(RunId),
    /// A message to a sink was written.
    Messages,
    /// Hints were lost: look at everything.
    All,
}

/// Broadcasts hints from storage to all receivers of the process.
#[derive(Debug, Clone)]
pub struct Hints(broadcast::Sender<Hint>);

/// Hints that a slow receiver may fall behind; beyond that it gets [`Hint::All`] instead.
const CAPACITY: usize = 1024;

impl Default for Hints {
    fn default() -> Self {
        Self(broadcast::channel(CAPACITY).0)
    }
}

impl Hints {
    /// Sends a hint to all receivers.
    pub fn send(&self, hint: Hint) {
        let _ = self.0.send(hint); // an error means that there is no receiver
    }

    /// A receiver of the hints sent from now on. Subscribe before looking at the rows, so that no change is missed.
    pub fn subscribe(&self) -> HintReceiver {
        HintReceiver(self.0.subscribe())
    }
}

/// Receives hints; see [`Hints::subscribe`].
#[derive(Debug)]
pub struct HintReceiver(broadcast::Receiver<Hint>);

impl HintReceiver {
    /// Waits for the next hint; missed hints become one [`Hint::All`]. Waits for ever once the sender is gone. Cancel
    /// safe.
    pub async fn next(&mut self) -> Hint {
        match self.0.recv().await {
            Ok(hint) => hint,
            Err(broadcast::error::RecvError::Lagged(_)) => Hint::All,
            Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
        }
    }
}
