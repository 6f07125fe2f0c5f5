//! Events in memory.

use std::ops::Bound;

use async_trait::async_trait;

use super::store::MemoryStore;
use crate::ids::RunId;
use crate::runs::{Events, FeedEvent, FeedPage, FeedPosition, RunEvent, StoreResult};

#[async_trait]
impl Events for MemoryStore {
    async fn events(&self, after: &[(RunId, u32)], limit: usize) -> StoreResult<Vec<RunEvent>> {
        let state = self.state();
        let mut after = after.to_vec();
        after.sort_unstable();
        let events = after.iter().filter_map(|(id, after)| Some((state.runs.get(id)?, *after as usize)));
        let events = events.flat_map(|(entry, after)| entry.events.iter().skip(after));
        Ok(events.take(limit).cloned().collect())
    }

    async fn feed(&self, after: FeedPosition, limit: usize) -> StoreResult<FeedPage> {
        let state = self.state();
        let positions = state.feed.range((Bound::Excluded(after), Bound::Unbounded));
        let event = |position: &FeedPosition| {
            let entry = state.runs.get(&position.run)?;
            let event = entry.events.get(position.seq as usize - 1)?.clone();
            Some(FeedEvent { position: *position, event, labels: entry.run.labels.clone() })
        };
        let events: Vec<_> = positions.filter_map(event).take(limit).collect();
        Ok(FeedPage { has_more: events.len() == limit, events })
    }

    async fn feed_end(&self) -> StoreResult<FeedPosition> {
        // Not the position of the last event in the feed: later ones may have been deleted with their runs.
        Ok(FeedPosition { transaction: self.state().feed_length + 1, ..FeedPosition::START })
    }

    async fn missing(&self, runs: &[RunId]) -> StoreResult<Vec<RunId>> {
        let state = self.state();
        Ok(runs.iter().filter(|run| !state.runs.contains_key(run)).copied().collect())
    }
}
