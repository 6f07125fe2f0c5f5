//! The port to storage: messages that wait to be sent, and those under a lease.

use std::collections::HashMap;
use std::time::Duration;

use async_trait::async_trait;

use super::message::{ClaimedMessage, Message, MessageId, MessageLease, Settlement};
use crate::ids::RunId;
use crate::runs::StoreResult;

/// How many messages a process can send now.
#[derive(Debug, Clone, Default)]
pub struct Room {
    /// Messages in all.
    pub total: usize,
    /// Messages to each destination that is not in `left`.
    pub per_destination: usize,
    /// Messages to destinations that some are on the way to already.
    pub left: HashMap<String, usize>,
}

impl Room {
    /// How many more may go to a destination.
    pub fn for_destination(&self, destination: &str) -> usize {
        self.left.get(destination).copied().unwrap_or(self.per_destination)
    }
}

/// Storage for messages to sinks. The calls that change runs write them.
#[async_trait]
pub trait Outbox: Send + Sync {
    /// Claims messages that are due, the longest due first. A lease holds for the timeout of the sink and `margin`.
    async fn claim_messages(&self, room: &Room, margin: Duration) -> StoreResult<Vec<ClaimedMessage>>;

    /// Writes the fate of a message after a try; answers whether the lease was still held.
    async fn settle_message(&self, lease: MessageLease, settlement: &Settlement) -> StoreResult<bool>;

    /// The time until the next lease ends or the next wait is over, of those that have not.
    async fn next_message(&self) -> StoreResult<Option<Duration>>;

    /// Messages of a run after an event and sink, by event, then by sink.
    async fn messages(
        &self,
        run: RunId,
        after: Option<(u32, u16)>,
        limit: usize,
    ) -> StoreResult<Vec<Message>>;

    /// Queues messages of a run again, without the attempts made: all that are dead, or those named unless they are
    /// pending. Answers with the messages queued, by event, then by sink.
    async fn redeliver(&self, run: RunId, named: Option<&[MessageId]>) -> StoreResult<Vec<Message>>;
}
