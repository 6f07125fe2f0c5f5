//! Runs in PostgreSQL. The statements of `sql/queries` do the work; this translates.

mod finished;
mod outbox;
mod queries;
mod rows;
mod submit;
mod write;

use std::borrow::Cow;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use queries as sql;
pub(super) use queries::ALL as QUERIES;
use rows::text;

use super::{Database, DatabaseError, MIGRATIONS};
use crate::ids::RunId;
use crate::runs::messages::CANCELLED;
use crate::runs::model::{
    Claimed, Failure, FinishedRun, Lease, NewRun, Record, ResultStatus, Run, RunEvent, RunStatus,
    StoredResult, Submitted, TargetKind, Verdict, name_of,
};
use crate::runs::store::{
    Deletion, FeedPage, FeedPosition, Held, LEASE_LOST, Result, ResultFilter, Retried, RunFilter, RunStore,
    SHUTDOWN, Scan, StoreError,
};

/// Keeps runs in PostgreSQL.
#[derive(Clone)]
pub struct PostgresStore {
    database: Database,
}

impl PostgresStore {
    /// A store over a database whose schema is up to date; events restored from another cluster are made its own.
    ///
    /// # Errors
    /// `Unavailable`, or the schema is not what it has to be.
    pub async fn open(database: Database) -> std::result::Result<Self, DatabaseError> {
        database.execute(&sql::ADOPT, &[]).await?;
        Ok(Self { database })
    }
}

impl From<DatabaseError> for StoreError {
    fn from(error: DatabaseError) -> Self {
        match error {
            // Access that was granted before may be granted again: a password is being changed, say.
            DatabaseError::Unavailable(_) | DatabaseError::Denied(_) => Self::Unavailable(error.to_string()),
            DatabaseError::Conflict { .. } => Self::Other(anyhow::Error::new(error)),
            DatabaseError::Other(error) => Self::Other(error),
        }
    }
}

/// The names of filter values, or null for any.
fn names<T: PartialEq>(table: &[(&'static str, T)], values: &[T]) -> Option<Vec<&'static str>> {
    (!values.is_empty()).then(|| values.iter().map(|value| name_of(table, value)).collect())
}

/// Filter values that may be any text, or null for any.
fn texts(values: &[String]) -> Option<Vec<Cow<'_, str>>> {
    (!values.is_empty()).then(|| values.iter().map(|value| text(value)).collect())
}

/// A duration as statements take it.
fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A place or number, of which there are none beyond the range of `integer`.
fn place(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

fn columns(leases: &[Lease]) -> (Vec<uuid::Uuid>, Vec<uuid::Uuid>) {
    leases.iter().map(|lease| (lease.run.0, lease.id.0)).unzip()
}

#[async_trait]
impl RunStore for PostgresStore {
    async fn submit(&self, runs: &[NewRun]) -> Result<Vec<Submitted>> {
        submit::submit(&self.database, runs).await
    }

    async fn record_finished(&self, finished: &FinishedRun) -> Result<()> {
        finished::record(&self.database, finished).await
    }

    async fn run(&self, id: RunId) -> Result<Option<Run>> {
        let rows = self.database.query(&sql::GET, &[&id.0]).await?;
        rows.first().map(rows::run).transpose()
    }

    async fn spec(&self, id: RunId) -> Result<Option<String>> {
        let rows = self.database.query(&sql::SPEC, &[&id.0]).await?;
        rows.first().map(|row| rows::column(row, 0)).transpose()
    }

    async fn list(&self, filter: &RunFilter) -> Result<Vec<Run>> {
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
        let parameters: &[&(dyn tokio_postgres::types::ToSql + Sync)] =
            &[&statuses, &verdicts, &labels, &from, &before, &time, &id, &limit, &sets, &targets, &agents];
        self.database.query(query, parameters).await?.iter().map(rows::run).collect()
    }

    async fn results(&self, id: RunId, filter: &ResultFilter) -> Result<Vec<StoredResult>> {
        let statuses = names(&ResultStatus::NAMES, &filter.statuses);
        let (evaluators, cases) = (texts(&filter.evaluators), texts(&filter.eval_cases));
        let after = filter.after.map_or(-1, place);
        let limit = count(filter.limit);
        let parameters: &[&(dyn tokio_postgres::types::ToSql + Sync)] =
            &[&id.0, &statuses, &evaluators, &after, &limit, &cases];
        let rows = self.database.query(&sql::RESULTS, parameters).await?;
        rows.iter().map(rows::result).collect()
    }

    async fn cancel(&self, id: RunId) -> Result<Option<Run>> {
        self.database.execute(&sql::CANCEL, &[&id.0, &CANCELLED.0, &CANCELLED.1]).await?;
        self.run(id).await
    }

    async fn retry(&self, id: RunId) -> Result<Option<Retried>> {
        let retried = self.database.execute(&sql::RETRY, &[&id.0]).await?;
        let outcome = if retried == 0 { Retried::Refused } else { Retried::Queued };
        Ok(self.run(id).await?.map(outcome))
    }

    async fn delete(&self, id: RunId) -> Result<Option<Deletion>> {
        if !self.database.query(&sql::DELETE, &[&id.0, &None::<i64>, &0_i64]).await?.is_empty() {
            return Ok(Some(Deletion::Done));
        }
        match self.run(id).await? {
            // It ended after the attempt to delete it.
            Some(run) if run.status.is_terminal() => {
                Err(StoreError::Unavailable(format!("run `{id}` is being changed")))
            }
            run => Ok(run.map(|run| Deletion::Refused(run.status))),
        }
    }

    async fn purge(&self, age: Duration, limit: usize) -> Result<usize> {
        let parameters: &[&(dyn tokio_postgres::types::ToSql + Sync)] =
            &[&None::<uuid::Uuid>, &milliseconds(age), &count(limit)];
        Ok(self.database.query(&sql::DELETE, parameters).await?.len())
    }

    async fn missing(&self, runs: &[RunId]) -> Result<Vec<RunId>> {
        let runs: Vec<_> = runs.iter().map(|run| run.0).collect();
        let rows = self.database.query(&sql::MISSING, &[&runs]).await?;
        rows.iter().map(|row| rows::column(row, "run_id").map(RunId)).collect()
    }

    async fn claim(&self, worker: &str, limit: usize, lease: Duration) -> Result<Vec<Claimed>> {
        let parameters: &[&(dyn tokio_postgres::types::ToSql + Sync)] =
            &[&worker, &count(limit), &milliseconds(lease)];
        self.database.query(&sql::CLAIM, parameters).await?.iter().map(rows::claimed).collect()
    }

    async fn heartbeat(&self, leases: &[Lease], lease: Duration) -> Result<Vec<Held>> {
        let (runs, ids) = columns(leases);
        let rows = self.database.query(&sql::HEARTBEAT, &[&runs, &ids, &milliseconds(lease)]).await?;
        rows.iter().map(rows::held).collect()
    }

    async fn record(&self, records: &[Record]) -> Result<Vec<bool>> {
        write::record(&self.database, records).await
    }

    async fn requeue(&self, lease: Lease, reason: &Failure, delay: Duration) -> Result<bool> {
        let (code, message, delay) = (&reason.code, text(&reason.message), milliseconds(delay));
        let rows =
            self.database.query(&sql::REQUEUE, &[&lease.run.0, &lease.id.0, &delay, &code, &message]).await?;
        Ok(!rows.is_empty())
    }

    async fn release(&self, leases: &[Lease]) -> Result<()> {
        let (runs, ids) = columns(leases);
        self.database.execute(&sql::RELEASE, &[&runs, &ids, &SHUTDOWN.0, &SHUTDOWN.1]).await?;
        Ok(())
    }

    async fn settle(&self) -> Result<usize> {
        let reasons: [&(dyn tokio_postgres::types::ToSql + Sync); 4] =
            [&LEASE_LOST.0, &LEASE_LOST.1, &CANCELLED.0, &CANCELLED.1];
        let rows = self.database.query(&sql::SETTLE, &reasons).await?;
        Ok(rows.len())
    }

    async fn scan(&self) -> Result<Scan> {
        let rows = self.database.query(&sql::SCAN, &[]).await?;
        rows.first().map_or(Ok(Scan::default()), rows::scan)
    }

    async fn events(&self, after: &[(RunId, u32)], limit: usize) -> Result<Vec<RunEvent>> {
        let (runs, numbers): (Vec<_>, Vec<_>) = after.iter().map(|(run, seq)| (run.0, place(*seq))).unzip();
        let rows = self.database.query(&sql::EVENTS, &[&runs, &numbers, &count(limit)]).await?;
        rows.iter().map(rows::event).collect()
    }

    async fn feed(&self, after: FeedPosition, limit: usize) -> Result<FeedPage> {
        let transaction = after.transaction.to_string();
        let (run, seq, limit) = (after.run.0, place(after.seq), count(limit));
        let rows = self.database.query(&sql::FEED, &[&transaction, &run, &seq, &limit]).await?;
        rows::feed(&rows, limit)
    }

    async fn feed_end(&self) -> Result<FeedPosition> {
        let rows = self.database.query(&sql::FEED_END, &[]).await?;
        let transaction = rows.first().map_or(Ok(0), |row| rows::transaction(row, "transaction"))?;
        Ok(FeedPosition { transaction, ..FeedPosition::START })
    }

    async fn check(&self) -> Result<()> {
        let rows = self.database.query(&sql::CHECK, &[]).await?;
        rows::check_schema(rows.first(), MIGRATIONS.last().map_or(0, |last| last.version))
    }
}
