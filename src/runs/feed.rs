//! The port to storage: events of single runs, and the feed of the events of all runs.

use std::collections::BTreeMap;

use async_trait::async_trait;

use super::error::StoreResult;
use super::event::RunEvent;
use crate::ids::RunId;

/// Order of events over all runs: events are handed out only when no earlier one can still appear.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct FeedPosition {
    /// The transaction that wrote the event.
    pub transaction: u64,
    /// The run.
    pub run: RunId,
    /// The event's number within the run.
    pub seq: u32,
}

impl FeedPosition {
    /// Before everything.
    pub const START: Self = Self { transaction: 0, run: RunId(uuid::Uuid::nil()), seq: 0 };
}

/// An event as the feed over all runs has it.
#[derive(Debug, Clone, PartialEq)]
pub struct FeedEvent {
    /// Its place in the feed.
    pub position: FeedPosition,
    /// The event.
    pub event: RunEvent,
    /// Labels of its run, for filters.
    pub labels: BTreeMap<String, String>,
}

/// A part of the feed over all runs.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FeedPage {
    /// Events after the position asked for, in order.
    pub events: Vec<FeedEvent>,
    /// Whether there are more, now or as soon as transactions in flight have ended.
    pub has_more: bool,
}

/// Storage for events.
#[async_trait]
pub trait Events: Send + Sync {
    /// Events of runs, each after a number; by run and number, at most `limit` in all.
    async fn events(&self, after: &[(RunId, u32)], limit: usize) -> StoreResult<Vec<RunEvent>>;

    /// Events of all runs after a position.
    async fn feed(&self, after: FeedPosition, limit: usize) -> StoreResult<FeedPage>;

    /// The position after everything that has happened so far.
    async fn feed_end(&self) -> StoreResult<FeedPosition>;

    /// The runs among these that do not exist, because they were deleted, say.
    async fn missing(&self, runs: &[RunId]) -> StoreResult<Vec<RunId>>;
}
