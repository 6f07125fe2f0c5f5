//! What workers write: a group of records as the columns of one statement.

use std::collections::HashSet;

use anyhow::Context;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::values::text;
use super::{queries as sql, rows};
use crate::names::name_of;
use crate::outbox::Phase;
use crate::queue::Record;
use crate::runs::{
    Ending, EvaluatorType, EventData, EventKind, ResultRecord, ResultStatus, RunStatus, StoreResult, Verdict,
};
use crate::storage::postgres::Database;

/// Writes records, at most one per run; answers whether each was still held.
pub(super) async fn record(database: &Database, records: &[Record]) -> StoreResult<Vec<bool>> {
    let columns = Columns::of(records)?;
    let rows = database.query(&sql::RECORD, &columns.parameters()).await?;
    let held: HashSet<Uuid> =
        rows.iter().map(|row| rows::column(row, "run_id")).collect::<StoreResult<_>>()?;
    Ok(records.iter().map(|record| held.contains(&record.lease.run.0)).collect())
}

/// The parameters of `queue/record`, column by column.
#[derive(Default)]
struct Columns<'a> {
    runs: Runs,
    results: Results,
    events: Events,
    messages: Messages<'a>,
}

#[derive(Default)]
struct Runs {
    id: Vec<Uuid>,
    lease: Vec<Uuid>,
    write: Vec<Uuid>,
    events: Vec<i32>,
    done: Vec<Option<i32>>,
    total: Vec<Option<i32>>,
    outcome: Vec<Option<&'static str>>,
    verdict: Vec<Option<&'static str>>,
    error_code: Vec<Option<String>>,
    error_message: Vec<Option<String>>,
    summary: Vec<Option<String>>,
}

/// Results, column by column.
#[derive(Default)]
pub(super) struct Results {
    pub(super) run: Vec<Uuid>,
    pub(super) ordinal: Vec<i32>,
    pub(super) item_id: Vec<String>,
    pub(super) item_name: Vec<String>,
    pub(super) eval_case_id: Vec<Option<String>>,
    pub(super) evaluator: Vec<String>,
    pub(super) evaluator_type: Vec<&'static str>,
    pub(super) status: Vec<&'static str>,
    pub(super) score: Vec<Option<f64>>,
    pub(super) per_invocation: Vec<String>,
    pub(super) trace_id: Vec<Option<String>>,
    pub(super) span_id: Vec<Option<String>>,
    pub(super) details: Vec<Option<String>>,
    pub(super) error: Vec<Option<String>>,
    pub(super) latency_ms: Vec<Option<i64>>,
}

/// Events, column by column.
#[derive(Default)]
pub(super) struct Events {
    pub(super) run: Vec<Uuid>,
    /// From 1 within what is written of one run.
    pub(super) number: Vec<i32>,
    pub(super) kind: Vec<&'static str>,
    pub(super) data: Vec<String>,
}

#[derive(Default)]
struct Messages<'a> {
    run: Vec<Uuid>,
    number: Vec<i32>,
    phase: Vec<&'static str>,
    payload: Vec<&'a str>,
}

impl<'a> Columns<'a> {
    fn of(records: &'a [Record]) -> StoreResult<Self> {
        let mut columns = Self::default();
        for record in records {
            let run = record.lease.run.0;
            let events = record.events();
            columns.runs.push(record, events.len() as i32)?;
            for result in &record.results {
                columns.results.push(run, result)?;
            }
            columns.events.push(run, events)?;
            for message in &record.messages {
                columns.messages.run.push(run);
                columns.messages.number.push(message.number as i32);
                columns.messages.phase.push(name_of(&Phase::NAMES, &message.phase));
                columns.messages.payload.push(&message.payload);
            }
        }
        Ok(columns)
    }

    fn parameters(&self) -> [&(dyn ToSql + Sync); 34] {
        let Self { runs, results, events, messages } = self;
        [
            &runs.id,
            &runs.lease,
            &runs.write,
            &runs.events,
            &runs.done,
            &runs.total,
            &runs.outcome,
            &runs.verdict,
            &runs.error_code,
            &runs.error_message,
            &runs.summary,
            &results.run,
            &results.ordinal,
            &results.item_id,
            &results.item_name,
            &results.eval_case_id,
            &results.evaluator,
            &results.evaluator_type,
            &results.status,
            &results.score,
            &results.per_invocation,
            &results.trace_id,
            &results.span_id,
            &results.details,
            &results.error,
            &results.latency_ms,
            &events.run,
            &events.number,
            &events.kind,
            &events.data,
            &messages.run,
            &messages.number,
            &messages.phase,
            &messages.payload,
        ]
    }
}

impl Runs {
    fn push(&mut self, record: &Record, events: i32) -> StoreResult<()> {
        self.id.push(record.lease.run.0);
        self.lease.push(record.lease.id.0);
        self.write.push(record.write);
        self.events.push(events);
        self.done.push(record.progress.map(|progress| progress.done as i32));
        self.total.push(record.progress.map(|progress| progress.total as i32));
        let ending = EndingColumns::of(record.ending.as_ref())?;
        self.outcome.push(ending.outcome);
        self.verdict.push(ending.verdict);
        self.summary.push(ending.summary);
        self.error_code.push(ending.error_code);
        self.error_message.push(ending.error_message);
        Ok(())
    }
}

/// How a run ended, as its columns have it; all null while it goes on.
#[derive(Default)]
pub(super) struct EndingColumns {
    pub(super) outcome: Option<&'static str>,
    pub(super) verdict: Option<&'static str>,
    pub(super) error_code: Option<String>,
    pub(super) error_message: Option<String>,
    pub(super) summary: Option<String>,
}

impl EndingColumns {
    pub(super) fn of(ending: Option<&Ending>) -> StoreResult<Self> {
        let mut columns = Self {
            outcome: ending.map(|ending| name_of(&RunStatus::NAMES, &ending.status())),
            ..Self::default()
        };
        match ending {
            Some(Ending::Succeeded { verdict, summary }) => {
                columns.verdict = Some(name_of(&Verdict::NAMES, verdict));
                columns.summary = Some(serde_json::to_string(summary).context("writing a summary")?);
            }
            Some(Ending::Failed(failure)) => {
                columns.error_code = Some(text(&failure.code).into_owned());
                columns.error_message = Some(text(&failure.message).into_owned());
            }
            Some(Ending::Cancelled) | None => {}
        }
        Ok(columns)
    }
}

impl Events {
    /// Adds the events of one run, numbered from 1.
    pub(super) fn push(&mut self, run: Uuid, events: Vec<(EventKind, EventData)>) -> StoreResult<()> {
        for ((kind, data), number) in events.into_iter().zip(1..) {
            self.run.push(run);
            self.number.push(number);
            self.kind.push(name_of(&EventKind::NAMES, &kind));
            self.data.push(serde_json::to_string(&data).context("writing an event")?);
        }
        Ok(())
    }
}

impl Results {
    pub(super) fn push(&mut self, run: Uuid, result: &ResultRecord) -> StoreResult<()> {
        let owned = |field: &Option<String>| field.as_deref().map(|field| text(field).into_owned());
        self.run.push(run);
        self.ordinal.push(result.ordinal as i32);
        self.item_id.push(text(&result.item_id).into_owned());
        self.item_name.push(text(&result.item_name).into_owned());
        self.eval_case_id.push(owned(&result.eval_case_id));
        self.evaluator.push(text(&result.evaluator_name).into_owned());
        self.evaluator_type.push(name_of(&EvaluatorType::NAMES, &result.evaluator_type));
        self.status.push(name_of(&ResultStatus::NAMES, &result.status));
        self.score.push(result.score);
        let scores = serde_json::to_string(&result.per_invocation_scores).context("writing scores")?;
        self.per_invocation.push(scores);
        self.trace_id.push(owned(&result.trace_id));
        self.span_id.push(owned(&result.span_id));
        self.details.push(result.details.as_ref().map(|details| details.get().to_owned()));
        self.error.push(owned(&result.error_text));
        self.latency_ms.push(result.latency_ms);
        Ok(())
    }
}
