//! The store: the state behind a lock, and the hints about its changes.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::limits::MemoryLimits;
use super::state::State;
use crate::runs::{Hint, Hints};

/// Keeps runs in memory.
#[derive(Debug)]
pub struct MemoryStore {
    pub(super) limits: MemoryLimits,
    pub(super) hints: Hints,
    state: Mutex<State>,
}

impl MemoryStore {
    /// An empty store, which sends `hints` about changes.
    pub fn new(limits: MemoryLimits, hints: Hints) -> Self {
        Self { limits, hints, state: Mutex::default() }
    }

    /// The state, locked.
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        // Changes do not panic half-way, so a poisoned lock guards a consistent state.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state, then sends hints about added events and messages, after the lock is released.
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let (value, changed, has_posted) = {
            let mut state = self.state();
            let value = change(&mut state);
            (value, std::mem::take(&mut state.changed), std::mem::take(&mut state.has_posted))
        };
        if !changed.is_empty() {
            self.hints.send(Hint::Events(Arc::new(changed)));
        }
        if has_posted {
            self.hints.send(Hint::Messages);
        }
        value
    }
}
