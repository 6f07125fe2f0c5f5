//! The outbox: messages to sinks, written together with the change they tell of and delivered afterwards.
//!
//! Messages of a run to one sink are delivered in the order of its events: only the first that is neither delivered nor
//! given up can be claimed, and those behind it wait as long as it does. Delivery is at least once; whoever claims a
//! message holds it for a time and writes what became of it under the claim.

use std::collections::HashMap;
use std::time::Duration;

use async_trait::async_trait;

use super::model::{ClaimedDelivery, Delivery, DeliveryId, DeliveryLease, Settlement};
use super::store::Result;
use crate::ids::RunId;

/// How much a deliverer can take.
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

/// Storage for messages to sinks. What writes them are the calls of `RunStore` that change runs.
#[async_trait]
pub trait Outbox: Send + Sync {
    /// Claims messages that are due, the longest due first. A claim holds for the timeout of the sink and `margin`.
    async fn claim_deliveries(&self, room: &Room, margin: Duration) -> Result<Vec<ClaimedDelivery>>;

    /// Writes what became of an attempt; answers whether the claim was still held.
    async fn settle_delivery(&self, lease: DeliveryLease, settlement: &Settlement) -> Result<bool>;

    /// When the next claim ends or the next wait is over, of those that have not.
    async fn next_delivery(&self) -> Result<Option<Duration>>;

    /// Messages of a run after an event and sink, by event, then by sink.
    async fn deliveries(&self, run: RunId, after: Option<(u32, u16)>, limit: usize) -> Result<Vec<Delivery>>;

    /// Queues messages of a run again, without the attempts made: all that are dead, or those named unless they are
    /// pending. Answers what was queued, by event, then by sink.
    async fn redeliver(&self, run: RunId, named: Option<&[DeliveryId]>) -> Result<Vec<Delivery>>;
}
