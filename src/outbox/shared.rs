//! The list of messages on the way and the rest of the state that tries share.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::message::MessageLease;
use super::port::{Outbox, Room};
use super::send::Sender;

/// Settings of sending.
#[derive(Debug, Clone)]
pub struct DispatchSettings {
    /// Length of a lease beyond the timeout of the sink: one half to look up credentials, one to write the message's
    /// fate.
    pub margin: Duration,
    /// Interval of looking at the outbox although no hint came.
    pub poll: Duration,
    /// Time that tries get to finish after a stop was requested.
    pub grace: Duration,
    /// Wait before the second try; three times as long before each further one.
    pub first_pause: Duration,
}

impl DispatchSettings {
    /// The wait outside tests: a receiver that is being restarted is soon back.
    pub const FIRST_PAUSE: Duration = Duration::from_secs(1);
}

/// Most messages on the way at a time.
const TOTAL: usize = 32;

/// Most of them to one destination, so that a slow one leaves room for others.
const PER_DESTINATION: usize = 8;

/// State that tries share.
pub(super) struct Shared {
    pub(super) outbox: Arc<dyn Outbox>,
    pub(super) sender: Sender,
    pub(super) settings: DispatchSettings,
    /// Messages on the way, with their destinations.
    on_the_way: Mutex<Vec<(MessageLease, String)>>,
}

impl Shared {
    /// Nothing is on the way yet.
    pub(super) fn new(outbox: Arc<dyn Outbox>, sender: Sender, settings: DispatchSettings) -> Self {
        Self { outbox, sender, settings, on_the_way: Mutex::default() }
    }

    /// Messages on the way, with their destinations.
    pub(super) fn on_the_way(&self) -> MutexGuard<'_, Vec<(MessageLease, String)>> {
        // A panic cannot leave the list half changed: each change is one insertion or removal.
        self.on_the_way.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The numbers of messages that can be sent besides those on the way.
    pub(super) fn room(&self) -> Room {
        let on_the_way = self.on_the_way();
        let mut left: HashMap<String, usize> = HashMap::new();
        for (_, destination) in &*on_the_way {
            let left = left.entry(destination.clone()).or_insert(PER_DESTINATION);
            *left = left.saturating_sub(1);
        }
        Room { total: TOTAL.saturating_sub(on_the_way.len()), per_destination: PER_DESTINATION, left }
    }
}
