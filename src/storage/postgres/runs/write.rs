//! What workers write: a group of records as the columns of one statement.

use std::collections::HashSet;

use anyhow::Context;
use chrono::Utc;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::rows::{self, text};
use super::{Status, Verdict, name_of, queries as sql};
use crate::runs::model::{Ending, EvaluatorType, EventKind, Phase, Record, ResultRecord, ResultStatus};
use crate::runs::store::Result;
use crate::storage::postgres::Database;

/// Writes records, at most one per run; answers whether each was still held.
pub(super) async fn record(database: &Database, records: &[Record]) -> Result<Vec<bool>> {
    let columns = Columns::of(records)?;
    let rows = database.query(&sql::RECORD, &columns.parameters()).await?;
    let held: HashSet<Uuid> = rows.iter().map(|row| rows::column(row, "run_id")).collect::<Result<_>>()?;
    Ok(records.iter().map(|record| held.contains(&record.lease.run.0)).collect())
}

/// The parameters of `queue/record`, column by column.
#[derive(Default)]
struct Columns {
    runs: Runs,
    results: Results,
    events: Events,
    messages: Messages,
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

#[derive(Default)]
struct Results {
    run: Vec<Uuid>,
    ordinal: Vec<i32>,
    item_id: Vec<String>,
    item_name: Vec<String>,
    eval_case_id: Vec<Option<String>>,
    evaluator: Vec<String>,
    evaluator_type: Vec<&'static str>,
    status: Vec<&'static str>,
    score: Vec<Option<f64>>,
    per_invocation: Vec<String>,
    trace_id: Vec<Option<String>>,
    span_id: Vec<Option<String>>,
    details: Vec<Option<String>>,
    error: Vec<Option<String>>,
    latency_ms: Vec<Option<i64>>,
}

#[derive(Default)]
struct Events {
    run: Vec<Uuid>,
    number: Vec<i32>,
    kind: Vec<&'static str>,
    data: Vec<String>,
}

#[derive(Default)]
struct Messages {
    run: Vec<Uuid>,
    number: Vec<i32>,
    phase: Vec<&'static str>,
    payload: Vec<String>,
}

impl Columns {
    fn of(records: &[Record]) -> Result<Self> {
        let mut columns = Self::default();
        for record in records {
            let run = record.lease.run.0;
            let events = record.events();
            columns.runs.push(record, events.len() as i32)?;
            for result in &record.results {
                columns.results.push(run, result)?;
            }
            for ((kind, data), number) in events.into_iter().zip(1..) {
                columns.events.run.push(run);
                columns.events.number.push(number);
                columns.events.kind.push(name_of(&EventKind::NAMES, &kind));
                columns.events.data.push(serde_json::to_string(&data).context("writing an event")?);
            }
            for message in record.messages(Utc::now())? {
                columns.messages.run.push(run);
                columns.messages.number.push(message.number as i32);
                columns.messages.phase.push(name_of(&Phase::NAMES, &message.phase));
                columns.messages.payload.push(message.payload);
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
    fn push(&mut self, record: &Record, events: i32) -> Result<()> {
        self.id.push(record.lease.run.0);
        self.lease.push(record.lease.id.0);
        self.write.push(record.write);
        self.events.push(events);
        self.done.push(record.progress.map(|progress| progress.done as i32));
        self.total.push(record.progress.map(|progress| progress.total as i32));
        let ending = record.ending.as_ref();
        self.outcome.push(ending.map(|ending| name_of(&Status::NAMES, &ending.status())));
        let (verdict, summary) = match ending {
            Some(Ending::Succeeded { verdict, summary }) => {
                let summary = serde_json::to_string(summary).context("writing a summary")?;
                (Some(name_of(&Verdict::NAMES, verdict)), Some(summary))
            }
            _ => (None, None),
        };
        self.verdict.push(verdict);
        self.summary.push(summary);
        let failure = match ending {
            Some(Ending::Failed(failure)) => Some(failure),
            _ => None,
        };
        self.error_code.push(failure.map(|failure| text(&failure.code).into_owned()));
        self.error_message.push(failure.map(|failure| text(&failure.message).into_owned()));
        Ok(())
    }
}

impl Results {
    fn push(&mut self, run: Uuid, result: &ResultRecord) -> Result<()> {
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
