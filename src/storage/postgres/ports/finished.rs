//! Finished runs of uploads in PostgreSQL: one statement writes a run with its results and events.

use std::borrow::Cow;

use anyhow::Context;
use async_trait::async_trait;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::columns::{EndingColumns, EventColumns, ResultColumns, columns, statement_columns};
use super::store::PostgresStore;
use super::values::text;
use crate::runs::StoreResult;
use crate::storage::postgres::Query;
use crate::storage::postgres::query::query;
use crate::uploads::{FinishedRun, FinishedRuns};

#[async_trait]
impl FinishedRuns for PostgresStore {
    async fn record_finished(&self, finished: &FinishedRun) -> StoreResult<()> {
        let columns = FinishedRunColumns::of(finished)?;
        self.database.query(&RECORD_FINISHED, &columns.parameters()).await?;
        Ok(())
    }
}

columns! {
    /// The run itself, whose parameters are single values.
    struct RunValues<'a> {
        run_id: Uuid => UUID,
        document: &'a str => TEXT,
        digest: &'a [u8] => BYTEA,
        deadline_s: i32 => INT4,
        eval_set_id: Option<Cow<'a, str>> => TEXT,
        elapsed_us: i64 => INT8,
        outcome: Option<&'static str> => TEXT,
        verdict: Option<&'static str> => TEXT,
        error_code: Option<String> => TEXT,
        error_message: Option<String> => TEXT,
        summary: Option<String> => TEXT,
    }
}

pub(super) static RECORD_FINISHED: Query = query!("runs/record_finished", lists FinishedRunColumns::LISTS);

statement_columns! {
    /// The parameters of `runs/record_finished`.
    struct FinishedRunColumns<'a> {
        run: RunValues<'a>,
        results: ResultColumns<'a>,
        events: EventColumns,
    }
}

impl<'a> FinishedRunColumns<'a> {
    fn of(finished: &'a FinishedRun) -> StoreResult<Self> {
        let EndingColumns { outcome, verdict, error_code, error_message, summary } =
            EndingColumns::of(Some(&finished.ending))?;
        let run = RunValues {
            run_id: finished.id.0,
            document: &finished.spec,
            digest: &finished.digest,
            deadline_s: i32::try_from(finished.deadline.as_secs()).context("writing a deadline")?,
            eval_set_id: finished.eval_set_id.as_deref().map(text),
            elapsed_us: i64::try_from(finished.elapsed.as_micros()).unwrap_or(i64::MAX),
            outcome,
            verdict,
            error_code,
            error_message,
            summary,
        };
        let mut columns = Self { run, ..Self::default() };
        for result in &finished.results {
            columns.results.push(result)?;
        }
        for ((kind, data), number) in finished.events().iter().zip(1..) {
            columns.events.push(number, *kind, data)?;
        }
        Ok(columns)
    }
}
