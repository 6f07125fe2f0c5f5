//! Hints that something may have changed. The row is the truth; a hint lost costs time, never a run.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::broadcast;

use crate::ids::RunId;

/// What may have changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hint {
    /// A run can be claimed, now or after a while.
    Due(Duration),
    /// These runs have new events.
    Events(Arc<BTreeSet<RunId>>),
    /// Somebody asked for this run to be stopped.
    Cancel(RunId),
    /// A message to a sink was written.
    Messages,
    /// Hints were lost: look at everything.
    All,
}

/// Carries hints from storage to those who wait.
#[derive(Debug, Clone)]
pub struct Hints(broadcast::Sender<Hint>);

/// How many hints a slow receiver may fall behind before it is told to look at everything.
const CAPACITY: usize = 1024;

impl Default for Hints {
    fn default() -> Self {
        Self(broadcast::channel(CAPACITY).0)
    }
}

impl Hints {
    /// Tells everyone who waits.
    pub fn send(&self, hint: Hint) {
        // Nobody waiting is no fault.
        let _ = self.0.send(hint);
    }

    /// Registers interest; hints sent from now on are received.
    pub fn subscribe(&self) -> HintReceiver {
        HintReceiver(self.0.subscribe())
    }
}

/// Receives hints; see [`Hints::subscribe`].
#[derive(Debug)]
pub struct HintReceiver(broadcast::Receiver<Hint>);

impl HintReceiver {
    /// Waits for the next hint; hints that were missed become one [`Hint::All`]. Waits for ever when no more can
    /// come. Cancel safe.
    pub async fn next(&mut self) -> Hint {
        match self.0.recv().await {
            Ok(hint) => hint,
            Err(broadcast::error::RecvError::Lagged(_)) => Hint::All,
            Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
        }
    }
}
