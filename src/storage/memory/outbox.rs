//! The outbox in memory.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use async_trait::async_trait;

use tokio::time::Instant;

use super::state::{Entry, InLine, State, StoredMessage, now};
use super::store::MemoryStore;
use crate::ids::{LeaseId, RunId};
use crate::outbox::{
    ClaimedMessage, Message, MessageId, MessageLease, MessageState, NewMessage, Outbox, Phase, Room,
    Settlement,
};
use crate::runs::{Ending, Hint, StoreResult};

impl Entry {
    fn message(&self, id: MessageId) -> Option<Message> {
        let stored = self.messages.get(&(id.event, id.sink))?;
        let sink = self.sinks.get(usize::from(id.sink))?;
        let wait = |until: Instant| until.checked_duration_since(Instant::now()).unwrap_or_default();
        let due_at = stored.due_at.filter(|_| stored.state == MessageState::Pending);
        Some(Message {
            id,
            kind: sink.kind,
            destination: sink.destination.clone(),
            phase: stored.phase,
            state: stored.state,
            tries: stored.tries,
            next_try_at: due_at.map(|until| now() + wait(until)),
            last_status: stored.last_status,
            last_error: stored.last_error.clone(),
            created_at: stored.created_at,
            settled_at: stored.settled_at,
        })
    }
}

impl State {
    /// Adds a message to each sink of a run.
    pub(super) fn post(&mut self, run: RunId, event: u32, phase: Phase, body: &str) {
        let Some(entry) = self.runs.get_mut(&run) else { return };
        for (_, sink) in entry.sinks.iter().zip(0_u16..) {
            let stored = StoredMessage {
                phase,
                body: body.to_owned(),
                state: MessageState::Pending,
                tries: 0,
                due_at: None,
                lease: None,
                last_status: None,
                last_error: None,
                created_at: now(),
                settled_at: None,
            };
            entry.messages.insert((event, sink), stored);
            self.in_line.insert((run, sink, event));
            self.has_posted = true;
        }
    }

    /// Adds the message about the end of a run that ended without a worker; its latest event is the end.
    pub(super) fn post_end(&mut self, run: RunId, ending: &Ending) {
        let Some(entry) = self.runs.get(&run).filter(|entry| !entry.sinks.is_empty()) else { return };
        let event = entry.events.len() as u32;
        // Encoding an ending without a summary as JSON cannot fail.
        if let Ok(message) = NewMessage::of_ending(event, run, entry.run.attempt, ending) {
            self.post(run, event, message.phase, &message.body);
        }
    }

    fn stored(&mut self, id: MessageId) -> Option<&mut StoredMessage> {
        self.runs.get_mut(&id.run)?.messages.get_mut(&(id.event, id.sink))
    }

    /// Messages that can be claimed and their destinations, the longest due first.
    fn due(&self, at: Instant) -> Vec<(MessageId, String)> {
        let mut lines = HashSet::new();
        // Of each run and sink only the first: `in_line` is ordered by event within them.
        let heads = self.in_line.iter().filter(|(run, sink, _)| lines.insert((*run, *sink)));
        let mut due: Vec<_> = heads
            .filter_map(|(run, sink, event)| {
                let entry = self.runs.get(run)?;
                let stored = entry.messages.get(&(*event, *sink))?;
                let destination = entry.sinks.get(usize::from(*sink))?.destination.clone();
                let id = MessageId { run: *run, event: *event, sink: *sink };
                stored.due_at.is_none_or(|until| until <= at).then_some((stored.due_at, id, destination))
            })
            .collect();
        due.sort_unstable_by_key(|(due_at, id, _)| (*due_at, id.event));
        due.into_iter().map(|(_, id, destination)| (id, destination)).collect()
    }

    fn claim_message(&mut self, id: MessageId, margin: Duration) -> Option<ClaimedMessage> {
        let entry = self.runs.get_mut(&id.run)?;
        let sink = entry.sinks.get(usize::from(id.sink))?.clone();
        let stored = entry.messages.get_mut(&(id.event, id.sink))?;
        let lease_id = LeaseId::new_random();
        stored.lease = Some(lease_id);
        stored.due_at = Some(Instant::now() + sink.timeout + margin);
        stored.tries += 1;
        let lease = MessageLease { message: id, id: lease_id };
        let (try_number, phase, body) = (stored.tries, stored.phase, stored.body.clone());
        Some(ClaimedMessage { lease, try_number, sink, phase, body })
    }

    fn settle_message(&mut self, lease: MessageLease, settlement: &Settlement) -> bool {
        let id = lease.message;
        let Some(stored) = self.stored(id).filter(|stored| stored.lease == Some(lease.id)) else {
            return false;
        };
        stored.lease = None;
        stored.due_at = None;
        match settlement.clone() {
            Settlement::Delivered { status } => {
                stored.settle(MessageState::Delivered, status, None);
            }
            Settlement::Dead { status, error } | Settlement::GivenUp { status, error } => {
                stored.settle(MessageState::Dead, status, Some(error));
            }
            Settlement::Again { after, status, error } => {
                stored.due_at = Some(Instant::now() + after);
                (stored.last_status, stored.last_error) = (status, Some(error));
            }
            Settlement::GivenBack => stored.tries -= 1,
        }
        let (state, due_at) = (stored.state, stored.due_at);
        if state != MessageState::Pending {
            self.in_line.remove(&(id.run, id.sink, id.event));
        }
        self.settle_line_behind(id, due_at, settlement);
        true
    }

    /// Lets the messages behind `id` in line wait as long as it does, or makes them dead with it.
    fn settle_line_behind(&mut self, id: MessageId, due_at: Option<Instant>, settlement: &Settlement) {
        let Some(entry) = self.runs.get_mut(&id.run) else { return };
        let behind = (id.run, id.sink, id.event + 1)..=(id.run, id.sink, u32::MAX);
        let behind: Vec<_> = self.in_line.range(behind).copied().collect();
        for line @ (_, sink, event) in behind {
            let Some(stored) = entry.messages.get_mut(&(event, sink)) else { continue };
            stored.due_at = due_at;
            if let Settlement::GivenUp { error, .. } = settlement {
                stored.settle(MessageState::Dead, None, Some(error.clone()));
                self.in_line.remove(&line);
            }
        }
    }
}

impl StoredMessage {
    fn settle(&mut self, state: MessageState, status: Option<u16>, error: Option<String>) {
        (self.state, self.settled_at) = (state, Some(now()));
        (self.last_status, self.last_error) = (status, error);
    }
}

#[async_trait]
impl Outbox for MemoryStore {
    async fn claim_messages(&self, room: &Room, margin: Duration) -> StoreResult<Vec<ClaimedMessage>> {
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
                claimed.extend(state.claim_message(id, margin));
            }
        }
        Ok(claimed)
    }

    async fn settle_message(&self, lease: MessageLease, settlement: &Settlement) -> StoreResult<bool> {
        Ok(self.state().settle_message(lease, settlement))
    }

    async fn next_message(&self) -> StoreResult<Option<Duration>> {
        let (now, state) = (Instant::now(), self.state());
        let until = |(run, sink, event): &InLine| {
            state.runs.get(run)?.messages.get(&(*event, *sink))?.due_at.filter(|until| *until > now)
        };
        Ok(state.in_line.iter().filter_map(until).min().map(|until| until - now))
    }

    async fn messages(
        &self,
        run: RunId,
        after: Option<(u32, u16)>,
        limit: usize,
    ) -> StoreResult<Vec<Message>> {
        let state = self.state();
        let Some(entry) = state.runs.get(&run) else { return Ok(Vec::new()) };
        let places = entry.messages.keys().filter(|place| after.is_none_or(|after| **place > after));
        let ids = places.map(|(event, sink)| MessageId { run, event: *event, sink: *sink });
        Ok(ids.filter_map(|id| entry.message(id)).take(limit).collect())
    }

    async fn redeliver(&self, run: RunId, named: Option<&[MessageId]>) -> StoreResult<Vec<Message>> {
        let again = {
            let mut state = self.state();
            let Some(entry) = state.runs.get_mut(&run) else { return Ok(Vec::new()) };
            let is_meant = |id: &MessageId, stored: &StoredMessage| match named {
                None => stored.state == MessageState::Dead,
                Some(named) => stored.state != MessageState::Pending && named.contains(id),
            };
            let mut again = Vec::new();
            for ((event, sink), stored) in &mut entry.messages {
                let id = MessageId { run, event: *event, sink: *sink };
                if is_meant(&id, stored) {
                    (stored.state, stored.tries) = (MessageState::Pending, 0);
                    (stored.due_at, stored.settled_at) = (None, None);
                    again.push(id);
                }
            }
            let queued: Vec<_> = again.iter().filter_map(|id| entry.message(*id)).collect();
            state.in_line.extend(again.iter().map(|id| (id.run, id.sink, id.event)));
            queued
        };
        if !again.is_empty() {
            self.hints.send(Hint::Messages);
        }
        Ok(again)
    }
}
