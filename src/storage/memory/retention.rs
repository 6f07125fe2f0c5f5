//! Deletion from memory.

use std::time::Duration;

use async_trait::async_trait;

use super::state::now;
use super::store::MemoryStore;
use crate::ids::RunId;
use crate::runs::{Deletion, Retention, StoreResult};

#[async_trait]
impl Retention for MemoryStore {
    async fn delete(&self, id: RunId) -> StoreResult<Option<Deletion>> {
        Ok(self.change(|state| {
            let status = state.runs.get(&id)?.run.status;
            if !status.is_terminal() {
                return Some(Deletion::Refused(status));
            }
            state.delete(id);
            Some(Deletion::Done)
        }))
    }

    async fn purge(&self, age: Duration, limit: usize) -> StoreResult<usize> {
        let Some(end) = chrono::Duration::from_std(age).ok().and_then(|age| now().checked_sub_signed(age))
        else {
            return Ok(0);
        };
        Ok(self.change(|state| {
            let is_old = |id: &RunId| {
                let entry = state.runs.get(id);
                entry.is_some_and(|entry| entry.run.finished_at.is_some_and(|at| at < end))
                    && !state.has_messages(*id)
            };
            let old: Vec<_> = state.by_age.iter().map(|(_, id)| *id).filter(is_old).take(limit).collect();
            old.iter().for_each(|id| state.delete(*id));
            old.len()
        }))
    }
}
