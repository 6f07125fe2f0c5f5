//! Submissions: one statement stores the new ones of a group, then the others are compared with the stored runs.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};

use anyhow::{Context, anyhow};
use chrono::{DateTime, Utc};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::columns::{columns, statement_columns};
use super::values::text;
use super::{queries as sql, rows};
use crate::ids::RunId;
use crate::names::name_of;
use crate::runs::{Run, StoreError, StoreResult, Submitted};
use crate::spec::{SinkKind, StoredSink, Submission, TargetKind};
use crate::storage::postgres::query::query;
use crate::storage::postgres::{Database, Query};

/// Stores new runs; answers each submission in the order given.
pub(super) async fn submit(database: &Database, runs: &[Submission]) -> StoreResult<Vec<Submitted>> {
    let mut seen = HashSet::new();
    // Of several submissions with one id the first is stored; the others are compared with it below.
    let first: Vec<&Submission> = runs.iter().filter(|run| seen.insert(run.id)).collect();
    let mut created = insert(database, &first).await?;
    let mut submitted: Vec<Option<Submitted>> = Vec::with_capacity(runs.len());
    for run in runs {
        let stored = created.remove(&run.id.0);
        submitted.push(stored.map(|created_at| Submitted::Created(as_stored(run, created_at))));
    }
    let others: Vec<&Submission> =
        runs.iter().zip(&submitted).filter(|(_, stored)| stored.is_none()).map(|(run, _)| run).collect();
    let existing = if others.is_empty() { Vec::new() } else { find(database, &others).await? };
    let answer = |(run, stored): (&Submission, Option<Submitted>)| match stored {
        Some(stored) => Ok(stored),
        None => compare(run, &existing),
    };
    runs.iter().zip(submitted).map(answer).collect()
}

/// The run as storage returns it, with NUL replaced.
fn as_stored(run: &Submission, created_at: DateTime<Utc>) -> Run {
    let eval_set_id = run.eval_set_id.as_deref().map(|id| text(id).into_owned());
    Run { labels: labels(run), eval_set_id, ..Run::queued(run, created_at) }
}

/// The key as it is stored.
fn key(run: &Submission) -> Option<Cow<'_, str>> {
    run.idempotency_key.as_deref().map(text)
}

/// The labels as they are stored.
fn labels(run: &Submission) -> BTreeMap<String, String> {
    run.labels.iter().map(|(key, value)| (text(key).into_owned(), text(value).into_owned())).collect()
}

async fn insert(database: &Database, runs: &[&Submission]) -> StoreResult<HashMap<Uuid, DateTime<Utc>>> {
    let columns = SubmitColumns::of(runs)?;
    let rows = database.query(&SUBMIT, &columns.parameters()).await?;
    rows.iter().map(|row| Ok((rows::column(row, "run_id")?, rows::column(row, "created_at")?))).collect()
}

columns! {
    /// New runs.
    struct NewRunColumns<'a> {
        run_id: Vec<Uuid> => UUID_ARRAY,
        idempotency_key: Vec<Option<Cow<'a, str>>> => TEXT_ARRAY,
        document: Vec<&'a str> => TEXT_ARRAY,
        digest: Vec<&'a [u8]> => BYTEA_ARRAY,
        priority: Vec<i16> => INT2_ARRAY,
        deadline_s: Vec<i32> => INT4_ARRAY,
        max_attempts: Vec<i16> => INT2_ARRAY,
        labels: Vec<String> => TEXT_ARRAY,
        target_kind: Vec<&'static str> => TEXT_ARRAY,
        eval_set_id: Vec<Option<Cow<'a, str>>> => TEXT_ARRAY,
    }
}

columns! {
    /// Their sinks.
    struct SinkColumns<'a> {
        run_id: Vec<Uuid> => UUID_ARRAY,
        sink: Vec<i16> => INT2_ARRAY,
        kind: Vec<&'static str> => TEXT_ARRAY,
        destination: Vec<Cow<'a, str>> => TEXT_ARRAY,
        timeout_ms: Vec<i32> => INT4_ARRAY,
        document: Vec<Cow<'a, str>> => TEXT_ARRAY,
    }
}

pub(super) static SUBMIT: Query = query!("runs/submit", lists SubmitColumns::LISTS);

statement_columns! {
    /// The parameters of `runs/submit`.
    struct SubmitColumns<'a> {
        runs: NewRunColumns<'a>,
        sinks: SinkColumns<'a>,
    }
}

impl<'a> SubmitColumns<'a> {
    fn of(submissions: &[&'a Submission]) -> StoreResult<Self> {
        let mut columns = Self::default();
        for submission in submissions {
            columns.runs.push(submission)?;
            for (sink, place) in submission.sinks.iter().zip(0..) {
                columns.sinks.push(submission.id.0, place, sink);
            }
        }
        Ok(columns)
    }
}

impl<'a> NewRunColumns<'a> {
    fn push(&mut self, submission: &'a Submission) -> StoreResult<()> {
        self.run_id.push(submission.id.0);
        self.idempotency_key.push(key(submission));
        self.document.push(&submission.spec);
        self.digest.push(&submission.digest);
        self.priority.push(submission.priority);
        self.deadline_s.push(submission.deadline.as_secs() as i32);
        self.max_attempts.push(submission.max_attempts as i16);
        self.labels.push(serde_json::to_string(&labels(submission)).context("writing labels")?);
        self.target_kind.push(name_of(&TargetKind::NAMES, &submission.target_kind));
        self.eval_set_id.push(submission.eval_set_id.as_deref().map(text));
        Ok(())
    }
}

impl<'a> SinkColumns<'a> {
    fn push(&mut self, run: Uuid, place: i16, sink: &'a StoredSink) {
        self.run_id.push(run);
        self.sink.push(place);
        self.kind.push(name_of(&SinkKind::NAMES, &sink.kind));
        self.destination.push(text(&sink.destination));
        self.timeout_ms.push(i32::try_from(sink.timeout.as_millis()).unwrap_or(i32::MAX));
        self.document.push(text(&sink.document));
    }
}

async fn find(database: &Database, runs: &[&Submission]) -> StoreResult<Vec<Row>> {
    let ids: Vec<_> = runs.iter().map(|run| run.id.0).collect();
    let keys: Vec<_> = runs.iter().filter_map(|run| key(run)).collect();
    Ok(database.query(&sql::FIND, &[&ids, &keys]).await?)
}

/// Compares a submission with the run stored under its id, else under its key.
fn compare(run: &Submission, existing: &[Row]) -> StoreResult<Submitted> {
    let mut by_key = None;
    for row in existing {
        let id = RunId(rows::column(row, "run_id")?);
        let stored: Option<&str> = rows::column(row, "idempotency_key")?;
        if id == run.id {
            return judge(run, row);
        }
        if stored.is_some() && stored == key(run).as_deref() {
            by_key = Some(row);
        }
    }
    let missing = || StoreError::Other(anyhow!("run `{}` was neither stored nor found", run.id));
    judge(run, by_key.ok_or_else(missing)?)
}

fn judge(run: &Submission, row: &Row) -> StoreResult<Submitted> {
    Ok(Submitted::again(run, rows::run(row)?, rows::column(row, "digest")?))
}
