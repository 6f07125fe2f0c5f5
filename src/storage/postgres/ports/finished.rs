//! Runs that are over when they are stored: one statement for all that belongs to one.

use anyhow::Context;
use async_trait::async_trait;
use tokio_postgres::types::ToSql;

use super::queries as sql;
use super::record::{EndingColumns, Events, Results};
use super::store::PostgresStore;
use super::values::text;
use crate::runs::StoreResult;
use crate::storage::postgres::Database;
use crate::uploads::{FinishedRun, FinishedRuns};

#[async_trait]
impl FinishedRuns for PostgresStore {
    async fn record_finished(&self, finished: &FinishedRun) -> StoreResult<()> {
        record(&self.database, finished).await
    }
}

/// Stores a run with its specification, results and events.
async fn record(database: &Database, finished: &FinishedRun) -> StoreResult<()> {
    let FinishedRun { id, spec, digest, elapsed, results, ending, .. } = finished;
    let mut columns = Results::default();
    for result in results {
        columns.push(id.0, result)?;
    }
    let mut events = Events::default();
    events.push(id.0, finished.events())?;
    let ending = EndingColumns::of(Some(ending))?;
    let digest = &digest[..];
    let deadline = i32::try_from(finished.deadline.as_secs()).context("writing a deadline")?;
    let eval_set_id = finished.eval_set_id.as_deref().map(text);
    let micros = i64::try_from(elapsed.as_micros()).unwrap_or(i64::MAX);
    let parameters: [&(dyn ToSql + Sync); 28] = [
        &id.0,
        spec,
        &digest,
        &deadline,
        &eval_set_id,
        &micros,
        &ending.outcome,
        &ending.verdict,
        &ending.error_code,
        &ending.error_message,
        &ending.summary,
        &columns.ordinal,
        &columns.item_id,
        &columns.item_name,
        &columns.eval_case_id,
        &columns.evaluator,
        &columns.evaluator_type,
        &columns.status,
        &columns.score,
        &columns.per_invocation,
        &columns.trace_id,
        &columns.span_id,
        &columns.details,
        &columns.error,
        &columns.latency_ms,
        &events.number,
        &events.kind,
        &events.data,
    ];
    database.query(&sql::RECORD_FINISHED, &parameters).await?;
    Ok(())
}
