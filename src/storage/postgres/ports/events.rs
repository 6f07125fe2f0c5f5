//! Events in PostgreSQL.

use async_trait::async_trait;

use super::store::PostgresStore;
use super::values::{count, place};
use super::{queries as sql, rows};
use crate::ids::RunId;
use crate::runs::{Events, FeedPage, FeedPosition, RunEvent, StoreResult};

#[async_trait]
impl Events for PostgresStore {
    async fn events(&self, after: &[(RunId, u32)], limit: usize) -> StoreResult<Vec<RunEvent>> {
        let (runs, numbers): (Vec<_>, Vec<_>) = after.iter().map(|(run, seq)| (run.0, place(*seq))).unzip();
        let rows = self.database.query(&sql::EVENTS, &[&runs, &numbers, &count(limit)]).await?;
        rows.iter().map(rows::event).collect()
    }

    async fn feed(&self, after: FeedPosition, limit: usize) -> StoreResult<FeedPage> {
        let transaction = after.transaction.to_string();
        let (run, seq, limit) = (after.run.0, place(after.seq), count(limit));
        let rows = self.database.query(&sql::FEED, &[&transaction, &run, &seq, &limit]).await?;
        rows::feed(&rows, limit)
    }

    async fn feed_end(&self) -> StoreResult<FeedPosition> {
        let rows = self.database.query(&sql::FEED_END, &[]).await?;
        let transaction = rows.first().map_or(Ok(0), |row| rows::transaction(row, "transaction"))?;
        Ok(FeedPosition { transaction, ..FeedPosition::START })
    }

    async fn missing(&self, runs: &[RunId]) -> StoreResult<Vec<RunId>> {
        let runs: Vec<_> = runs.iter().map(|run| run.0).collect();
        let rows = self.database.query(&sql::MISSING, &[&runs]).await?;
        rows.iter().map(|row| rows::column(row, "run_id").map(RunId)).collect()
    }
}
