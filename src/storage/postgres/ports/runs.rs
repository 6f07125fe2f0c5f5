//! Runs in PostgreSQL.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use tokio_postgres::types::ToSql;

use super::store::PostgresStore;
use super::values::{count, names, place, text, texts};
use super::{queries as sql, rows, submit};
use crate::ids::RunId;
use crate::outbox::CANCELLED;
use crate::runs::{
    ResultFilter, ResultStatus, Retried, Run, RunFilter, RunStatus, Runs, StoreResult, StoredResult,
    Submitted, Verdict,
};
use crate::spec::{Submission, TargetKind};
use crate::storage::postgres::MIGRATIONS;

#[async_trait]
impl Runs for PostgresStore {
    async fn submit(&self, submissions: &[Submission]) -> StoreResult<Vec<Submitted>> {
        submit::submit(&self.database, submissions).await
    }

    async fn run(&self, id: RunId) -> StoreResult<Option<Run>> {
        let rows = self.database.query(&sql::GET, &[&id.0]).await?;
        rows.first().map(rows::run).transpose()
    }

    async fn spec(&self, id: RunId) -> StoreResult<Option<String>> {
        let rows = self.database.query(&sql::SPEC, &[&id.0]).await?;
        rows.first().map(|row| rows::column(row, 0)).transpose()
    }

    async fn list(&self, filter: &RunFilter) -> StoreResult<Vec<Run>> {
        // Both statements give the same rows; for unfinished runs, one reads only the queue.
        let is_unfinished = |status: &RunStatus| !status.is_terminal();
        let query = match !filter.statuses.is_empty() && filter.statuses.iter().all(is_unfinished) {
            true => &sql::LIST_UNFINISHED,
            false => &sql::LIST,
        };
        let statuses = names(&RunStatus::NAMES, &filter.statuses);
        let verdicts = names(&Verdict::NAMES, &filter.verdicts);
        let mut labels = serde_json::Map::new();
        for (key, value) in &filter.labels {
            let value = text(value);
            let other = labels.insert(text(key).into(), (&*value).into());
            if other.is_some_and(|other| other != *value) {
                return Ok(Vec::new()); // no label has two values
            }
        }
        let labels = (!labels.is_empty()).then(|| serde_json::Value::Object(labels).to_string());
        let (time, id): (Option<DateTime<Utc>>, _) = filter.after.map(|(time, id)| (time, id.0)).unzip();
        let (from, before, limit) = (filter.created_from, filter.created_before, count(filter.limit));
        let (sets, agents) = (texts(&filter.eval_set_ids), texts(&filter.agents));
        let targets = names(&TargetKind::NAMES, &filter.target_kinds);
        let parameters: &[&(dyn ToSql + Sync)] =
            &[&statuses, &verdicts, &labels, &from, &before, &time, &id, &limit, &sets, &targets, &agents];
        self.database.query(query, parameters).await?.iter().map(rows::run).collect()
    }

    async fn results(&self, id: RunId, filter: &ResultFilter) -> StoreResult<Vec<StoredResult>> {
        let statuses = names(&ResultStatus::NAMES, &filter.statuses);
        let (evaluators, cases) = (texts(&filter.evaluators), texts(&filter.eval_cases));
        let after = filter.after.map_or(-1, place);
        let limit = count(filter.limit);
        let parameters: &[&(dyn ToSql + Sync)] = &[&id.0, &statuses, &evaluators, &after, &limit, &cases];
        let rows = self.database.query(&sql::RESULTS, parameters).await?;
        rows.iter().map(rows::result).collect()
    }

    async fn cancel(&self, id: RunId) -> StoreResult<Option<Run>> {
        self.database.execute(&sql::CANCEL, &[&id.0, &CANCELLED.0, &CANCELLED.1]).await?;
        self.run(id).await
    }

    async fn retry(&self, id: RunId) -> StoreResult<Option<Retried>> {
        let retried = self.database.execute(&sql::RETRY, &[&id.0]).await?;
        let answer = if retried == 0 { Retried::Refused } else { Retried::Queued };
        Ok(self.run(id).await?.map(answer))
    }

    async fn check(&self) -> StoreResult<()> {
        let rows = self.database.query(&sql::CHECK, &[]).await?;
        rows::check_schema(rows.first(), MIGRATIONS.last().map_or(0, |last| last.version))
    }
}
