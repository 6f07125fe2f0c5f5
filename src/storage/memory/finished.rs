//! Finished runs of uploads in memory.

use async_trait::async_trait;

use super::store::MemoryStore;
use crate::runs::StoreResult;
use crate::uploads::{FinishedRun, FinishedRuns};

#[async_trait]
impl FinishedRuns for MemoryStore {
    async fn record_finished(&self, finished: &FinishedRun) -> StoreResult<()> {
        self.change(|state| state.record_finished(finished, self.limits))
    }
}
