//! The port [`Outbox`]: messages that wait to be sent, and messages under a lease.

use std::collections::HashMap;
use std::time::Duration;

use async_trait::async_trait;

use super::message::{ClaimedMessage, Message, MessageId, MessageLease, Settlement};
use crate::ids::RunId;
use crate::runs::StoreResult;

/// Numbers of messages that a process can send now.
#[derive(Debug, Clone, Default)]
pub struct Room {
    /// Messages in all.
    pub total: usize,
    /// Messages to each destination that is not in `left`.
    pub per_destination: usize,
    /// Messages to each destination to which some are on the way already.
    pub left: HashMap<String, usize>,
}

impl Room {
    /// Number of messages that can be sent to a destination now.
    pub fn for_destination(&self, destination: &str) -> usize {
        self.left.get(destination).copied().unwrap_or(self.per_destination)
    }
}

/// Storage for messages to sinks. The calls that change runs write the messages.
#[async_trait]
pub trait Outbox: Send + Sync {
    /// Claims due messages, the longest due first. A lease lasts for the timeout of the sink and `margin`.
    async fn claim_messages(&self, room: &Room, margin: Duration) -> StoreResult<Vec<ClaimedMessage>>;

    /// Writes the fate of a message after a try; returns whether the lease was still held.
    async fn settle_message(&self, lease: MessageLease, settlement: &Settlement) -> StoreResult<bool>;

    /// Time until the next message becomes due, because its lease or its wait ends.
    async fn next_message(&self) -> StoreResult<Option<Duration>>;

    /// A page of the messages of a run after an event and sink; by event, then by sink.
    async fn messages(
        &self,
        run: RunId,
        after: Option<(u32, u16)>,
        limit: usize,
    ) -> StoreResult<Vec<Message>>;

    /// Queues messages of a run again, with no tries counted: all dead ones, or the named ones that are not pending.
    /// Returns the queued messages, by event, then by sink.
    async fn redeliver(&self, run: RunId, named: Option<&[MessageId]>) -> StoreResult<Vec<Message>>;
}
