//! The port [`Events`]: events of single runs, and the feed, which has the events of all runs in one order.

use std::collections::BTreeMap;

use async_trait::async_trait;

use super::error::StoreResult;
use super::event::RunEvent;
use crate::ids::RunId;

/// A position in the feed. The feed withholds an event while one with a smaller position can still be committed, so
/// readers that go on from the last position they saw miss nothing.
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
    /// The position before all events.
    pub const START: Self = Self { transaction: 0, run: RunId(uuid::Uuid::nil()), seq: 0 };
}

/// An event in the feed.
#[derive(Debug, Clone, PartialEq)]
pub struct FeedEvent {
    /// Its position.
    pub position: FeedPosition,
    /// The event.
    pub event: RunEvent,
    /// The labels of its run, by which readers filter.
    pub labels: BTreeMap<String, String>,
}

/// A page of the feed.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FeedPage {
    /// Events after the position asked for, in order.
    pub events: Vec<FeedEvent>,
    /// Whether more follow, now or as soon as running transactions have ended.
    pub has_more: bool,
}

/// Storage for events.
#[async_trait]
pub trait Events: Send + Sync {
    /// Events of the given runs, each after the given number; by run, then by number, at most `limit` in all.
    async fn events(&self, after: &[(RunId, u32)], limit: usize) -> StoreResult<Vec<RunEvent>>;

    /// Events of all runs after a position.
    async fn feed(&self, after: FeedPosition, limit: usize) -> StoreResult<FeedPage>;

    /// The position after all events so far.
    async fn feed_end(&self) -> StoreResult<FeedPosition>;

    /// Those of the given runs that do not exist, for instance because they were deleted.
    async fn missing(&self, runs: &[RunId]) -> StoreResult<Vec<RunId>>;
}
