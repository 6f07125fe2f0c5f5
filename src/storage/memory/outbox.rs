//! The outbox in memory.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use tokio::time::Instant;

use super::MemoryStore;
use super::state::{Entry, State, now};
use crate::ids::{LeaseId, RunId};
use crate::runs::hints::Hint;
use crate::runs::messages::end_of_unheld;
use crate::runs::model::{
    ClaimedDelivery, Delivery, DeliveryId, DeliveryLease, DeliveryState, Ending, Phase, Settlement,
};
use crate::runs::outbox::{Outbox, Room};
use crate::runs::store::Result;

/// A message to one sink.
#[derive(Debug)]
pub(super) struct Stored {
    phase: Phase,
    payload: String,
    state: DeliveryState,
    attempts: u32,
    /// When the claim or the wait ends; `None` is long ago.
    due_at: Option<Instant>,
    lease: Option<LeaseId>,
    last_status: Option<u16>,
    last_error: Option<String>,
    created_at: DateTime<Utc>,
    settled_at: Option<DateTime<Utc>>,
}

/// A message that is pending; of a run and sink the first is the one that can be claimed.
pub(super) type InLine = (RunId, u16, u32);

impl Entry {
    fn delivery(&self, id: DeliveryId) -> Option<Delivery> {
        let stored = self.deliveries.get(&(id.event, id.sink))?;
        let sink = self.sinks.get(usize::from(id.sink))?;
        let wait = |until: Instant| until.checked_duration_since(Instant::now()).unwrap_or_default();
        let due_at = stored.due_at.filter(|_| stored.state == DeliveryState::Pending);
        Some(Delivery {
            id,
            kind: sink.kind,
            destination: sink.destination.clone(),
            phase: stored.phase,
            state: stored.state,
            attempts: stored.attempts,
            next_attempt_at: due_at.map(|until| now() + wait(until)),
            last_status: stored.last_status,
            last_error: stored.last_error.clone(),
            created_at: stored.created_at,
            settled_at: stored.settled_at,
        })
    }
}

impl State {
    /// Writes a message to each sink of a run.
    pub(super) fn post(&mut self, run: RunId, event: u32, phase: Phase, payload: &str) {
        let Some(entry) = self.runs.get_mut(&run) else { return };
        for (_, sink) in entry.sinks.iter().zip(0_u16..) {
            let stored = Stored {
                phase,
                payload: payload.to_owned(),
                state: DeliveryState::Pending,
                attempts: 0,
                due_at: None,
                lease: None,
                last_status: None,
                last_error: None,
                created_at: now(),
                settled_at: None,
            };
            entry.deliveries.insert((event, sink), stored);
            self.in_line.insert((run, sink, event));
            self.has_posted = true;
        }
    }

    /// Writes the message about the end of a run that no worker holds, whose event is its latest.
    pub(super) fn post_end_of_unheld(&mut self, run: RunId, ending: &Ending) {
        let Some(entry) = self.runs.get(&run).filter(|entry| !entry.sinks.is_empty()) else { return };
        let event = entry.events.len() as u32;
        // Two numbers and two texts are always JSON.
        if let Ok((phase, payload)) = end_of_unheld(run, entry.run.attempt, ending) {
            self.post(run, event, phase, &payload);
        }
    }

    fn stored(&mut self, id: DeliveryId) -> Option<&mut Stored> {
        self.runs.get_mut(&id.run)?.deliveries.get_mut(&(id.event, id.sink))
    }

    /// Messages that can be claimed, the longest due first.
    fn due(&self, at: Instant) -> Vec<(DeliveryId, String)> {
        let mut lines = HashSet::new();
        let heads = self.in_line.iter().filter(|(run, sink, _)| lines.insert((*run, *sink)));
        let mut due: Vec<_> = heads
            .filter_map(|(run, sink, event)| {
                let entry = self.runs.get(run)?;
                let stored = entry.deliveries.get(&(*event, *sink))?;
                let destination = entry.sinks.get(usize::from(*sink))?.destination.clone();
                let id = DeliveryId { run: *run, event: *event, sink: *sink };
                stored.due_at.is_none_or(|until| until <= at).then_some((stored.due_at, id, destination))
            })
            .collect();
        due.sort_unstable_by_key(|(due_at, id, _)| (*due_at, id.event));
        due.into_iter().map(|(_, id, destination)| (id, destination)).collect()
    }

    fn claim_delivery(&mut self, id: DeliveryId, margin: Duration) -> Option<ClaimedDelivery> {
        let entry = self.runs.get_mut(&id.run)?;
        let sink = entry.sinks.get(usize::from(id.sink))?.clone();
        let stored = entry.deliveries.get_mut(&(id.event, id.sink))?;
        let lease_id = LeaseId::new_random();
        stored.lease = Some(lease_id);
        stored.due_at = Some(Instant::now() + sink.timeout + margin);
        stored.attempts += 1;
        let lease = DeliveryLease { delivery: id, id: lease_id };
        let (attempt, phase, payload) = (stored.attempts, stored.phase, stored.payload.clone());
        Some(ClaimedDelivery { lease, attempt, sink, phase, payload })
    }

    fn settle_delivery(&mut self, lease: DeliveryLease, settlement: &Settlement) -> bool {
        let id = lease.delivery;
        let Some(stored) = self.stored(id).filter(|stored| stored.lease == Some(lease.id)) else {
            return false;
        };
        stored.lease = None;
        stored.due_at = None;
        match settlement.clone() {
            Settlement::Delivered { status } => {
                stored.settle(DeliveryState::Delivered, status, None);
            }
            Settlement::Dead { status, error } | Settlement::GivenUp { status, error } => {
                stored.settle(DeliveryState::Dead, status, Some(error));
            }
            Settlement::Again { after, status, error } => {
                stored.due_at = Some(Instant::now() + after);
                (stored.last_status, stored.last_error) = (status, Some(error));
            }
            Settlement::GivenBack => stored.attempts -= 1,
        }
        let (state, due_at) = (stored.state, stored.due_at);
        if state != DeliveryState::Pending {
            self.in_line.remove(&(id.run, id.sink, id.event));
        }
        // Those behind it in line wait with it and go on with it.
        let Some(entry) = self.runs.get_mut(&id.run) else { return true };
        let behind = (id.run, id.sink, id.event + 1)..=(id.run, id.sink, u32::MAX);
        let behind: Vec<_> = self.in_line.range(behind).copied().collect();
        for line @ (_, sink, event) in behind {
            let Some(stored) = entry.deliveries.get_mut(&(event, sink)) else { continue };
            stored.due_at = due_at;
            if let Settlement::GivenUp { error, .. } = settlement {
                stored.settle(DeliveryState::Dead, None, Some(error.clone()));
                self.in_line.remove(&line);
            }
        }
        true
    }
}

impl Stored {
    fn settle(&mut self, state: DeliveryState, status: Option<u16>, error: Option<String>) {
        (self.state, self.settled_at) = (state, Some(now()));
        (self.last_status, self.last_error) = (status, error);
    }
}

#[async_trait]
impl Outbox for MemoryStore {
    async fn claim_deliveries(&self, room: &Room, margin: Duration) -> Result<Vec<ClaimedDelivery>> {
        let mut state = self.state();
        let mut left: HashMap<String, usize> = HashMap::new();
        let mut claimed = Vec::new();
        for (id, destination) in state.due(Instant::now()) {
            if claimed.len() == room.total {
                break;
            }
            let left = left.entry(destination).or_insert_with_key(|name| room.for_destination(name));
            if *left > 0 {
                *left -= 1;
                claimed.extend(state.claim_delivery(id, margin));
            }
        }
        Ok(claimed)
    }

    async fn settle_delivery(&self, lease: DeliveryLease, settlement: &Settlement) -> Result<bool> {
        Ok(self.state().settle_delivery(lease, settlement))
    }

    async fn next_delivery(&self) -> Result<Option<Duration>> {
        let (now, state) = (Instant::now(), self.state());
        let until = |(run, sink, event): &InLine| {
            state.runs.get(run)?.deliveries.get(&(*event, *sink))?.due_at.filter(|until| *until > now)
        };
        Ok(state.in_line.iter().filter_map(until).min().map(|until| until - now))
    }

    async fn deliveries(&self, run: RunId, after: Option<(u32, u16)>, limit: usize) -> Result<Vec<Delivery>> {
        let state = self.state();
        let Some(entry) = state.runs.get(&run) else { return Ok(Vec::new()) };
        let places = entry.deliveries.keys().filter(|place| after.is_none_or(|after| **place > after));
        let ids = places.map(|(event, sink)| DeliveryId { run, event: *event, sink: *sink });
        Ok(ids.filter_map(|id| entry.delivery(id)).take(limit).collect())
    }

    async fn redeliver(&self, run: RunId, named: Option<&[DeliveryId]>) -> Result<Vec<Delivery>> {
        let again = {
            let mut state = self.state();
            let Some(entry) = state.runs.get_mut(&run) else { return Ok(Vec::new()) };
            let is_meant = |id: &DeliveryId, stored: &Stored| match named {
                None => stored.state == DeliveryState::Dead,
                Some(named) => stored.state != DeliveryState::Pending && named.contains(id),
            };
            let mut again = Vec::new();
            for ((event, sink), stored) in &mut entry.deliveries {
                let id = DeliveryId { run, event: *event, sink: *sink };
                if is_meant(&id, stored) {
                    (stored.state, stored.attempts) = (DeliveryState::Pending, 0);
                    (stored.due_at, stored.settled_at) = (None, None);
                    again.push(id);
                }
            }
            let queued: Vec<_> = again.iter().filter_map(|id| entry.delivery(*id)).collect();
            state.in_line.extend(again.iter().map(|id| (id.run, id.sink, id.event)));
            queued
        };
        if !again.is_empty() {
            self.hints.send(Hint::Deliveries);
        }
        Ok(again)
    }
}
