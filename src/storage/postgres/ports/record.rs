//! Records of attempts: one statement writes a group of them.

use std::collections::HashSet;

use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::columns::{
    EndingColumns, EventColumns, MessageColumns, ResultColumns, RunIdColumn, columns, statement_columns,
};
use super::rows;
use crate::queue::{PreparedRecord, Record};
use crate::runs::StoreResult;
use crate::storage::postgres::query::query;
use crate::storage::postgres::{Database, Query};

/// Writes records, at most one per run; returns for each whether its lease was still held.
pub(super) async fn record(database: &Database, records: &[PreparedRecord<'_>]) -> StoreResult<Vec<bool>> {
    let columns = RecordColumns::of(records)?;
    let rows = database.query(&RECORD, &columns.parameters()).await?;
    let held: HashSet<Uuid> =
        rows.iter().map(|row| rows::column(row, "run_id")).collect::<StoreResult<_>>()?;
    Ok(records.iter().map(|record| held.contains(&record.record().lease.run.0)).collect())
}

columns! {
    /// The runs that records are about.
    struct HeldRunColumns {
        run_id: Vec<Uuid> => UUID_ARRAY,
        lease_id: Vec<Uuid> => UUID_ARRAY,
        write_id: Vec<Uuid> => UUID_ARRAY,
        events: Vec<i32> => INT4_ARRAY,
        done: Vec<Option<i32>> => INT4_ARRAY,
        total: Vec<Option<i32>> => INT4_ARRAY,
        outcome: Vec<Option<&'static str>> => TEXT_ARRAY,
        verdict: Vec<Option<&'static str>> => TEXT_ARRAY,
        error_code: Vec<Option<String>> => TEXT_ARRAY,
        error_message: Vec<Option<String>> => TEXT_ARRAY,
        summary: Vec<Option<String>> => TEXT_ARRAY,
    }
}

impl HeldRunColumns {
    fn push(&mut self, record: &Record, events: usize) -> StoreResult<()> {
        let ending = EndingColumns::of(record.ending.as_ref())?;
        self.run_id.push(record.lease.run.0);
        self.lease_id.push(record.lease.id.0);
        self.write_id.push(record.write);
        self.events.push(events as i32);
        self.done.push(record.progress.map(|progress| progress.done as i32));
        self.total.push(record.progress.map(|progress| progress.total as i32));
        self.outcome.push(ending.outcome);
        self.verdict.push(ending.verdict);
        self.error_code.push(ending.error_code);
        self.error_message.push(ending.error_message);
        self.summary.push(ending.summary);
        Ok(())
    }
}

pub(super) static RECORD: Query = query!("queue/record", lists RecordColumns::LISTS);

statement_columns! {
    /// The parameters of `queue/record`.
    struct RecordColumns<'a> {
        runs: HeldRunColumns,
        result_runs: RunIdColumn,
        results: ResultColumns<'a>,
        event_runs: RunIdColumn,
        events: EventColumns,
        message_runs: RunIdColumn,
        messages: MessageColumns<'a>,
    }
}

impl<'a> RecordColumns<'a> {
    fn of(records: &'a [PreparedRecord<'_>]) -> StoreResult<Self> {
        let mut columns = Self::default();
        for prepared in records {
            let record = prepared.record();
            let run = record.lease.run.0;
            let events = record.events();
            columns.runs.push(record, events.len())?;
            for result in &record.results {
                columns.result_runs.run_id.push(run);
                columns.results.push(result)?;
            }
            for ((kind, data), number) in events.iter().zip(1..) {
                columns.event_runs.run_id.push(run);
                columns.events.push(number, *kind, data)?;
            }
            for message in prepared.messages() {
                columns.message_runs.run_id.push(run);
                columns.messages.push(message);
            }
        }
        Ok(columns)
    }
}
