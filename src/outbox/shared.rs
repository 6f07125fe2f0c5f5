//! The messages that a process is sending, and the rest of what its tries share.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::message::MessageLease;
use super::port::{Outbox, Room};
use super::send::Sender;

/// How a process sends messages.
#[derive(Debug, Clone)]
pub struct DispatchSettings {
    /// What a claim holds beyond the timeout of its sink: for looking up credentials and for writing the fate of the message.
    pub margin: Duration,
    /// How often the outbox is looked at although no hint came.
    pub poll: Duration,
    /// How long attempts may go on after a stop was asked for.
    pub grace: Duration,
    /// Wait before the second attempt; three times as long with each further one.
    pub first_pause: Duration,
}

impl DispatchSettings {
    /// Wait before the second attempt unless a test wants another: a receiver that is being restarted is soon back.
    pub const FIRST_PAUSE: Duration = Duration::from_secs(1);
}

/// Messages on the way at a time.
const TOTAL: usize = 32;

/// Of which so many to one destination, so that one that is slow leaves room for others.
const PER_DESTINATION: usize = 8;

/// What the tries share.
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
        // Single insertions and removals leave the list whole.
        self.on_the_way.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How much more can be sent now.
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
