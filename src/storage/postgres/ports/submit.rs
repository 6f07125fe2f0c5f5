//! Submissions: a group in one statement, then the comparison of those that exist already.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};

use anyhow::{Context, anyhow};
use chrono::{DateTime, Utc};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::values::text;
use super::{queries as sql, rows};
use crate::ids::RunId;
use crate::names::name_of;
use crate::runs::{Run, StoreError, StoreResult, Submitted};
use crate::spec::{SinkKind, Submission, TargetKind};
use crate::storage::postgres::Database;

/// Stores what is new and answers for each what became of it.
pub(super) async fn submit(database: &Database, runs: &[Submission]) -> StoreResult<Vec<Submitted>> {
    let mut seen = HashSet::new();
    // Of several with one id the first is stored; the others are compared with it below.
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

/// The run as it is read back.
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
    let ids: Vec<_> = runs.iter().map(|run| run.id.0).collect();
    let keys: Vec<_> = runs.iter().map(|run| key(run)).collect();
    let specs: Vec<_> = runs.iter().map(|run| &*run.spec).collect();
    let digests: Vec<_> = runs.iter().map(|run| &run.digest[..]).collect();
    let priorities: Vec<_> = runs.iter().map(|run| run.priority).collect();
    let deadlines: Vec<_> = runs.iter().map(|run| run.deadline.as_secs() as i32).collect();
    let attempts: Vec<_> = runs.iter().map(|run| run.max_attempts as i16).collect();
    let labels = runs.iter().map(|run| serde_json::to_string(&labels(run)).context("writing labels"));
    let labels: Vec<_> = labels.collect::<anyhow::Result<_>>()?;
    let targets: Vec<_> = runs.iter().map(|run| name_of(&TargetKind::NAMES, &run.target_kind)).collect();
    let eval_sets: Vec<_> = runs.iter().map(|run| run.eval_set_id.as_deref().map(text)).collect();
    let sinks = Sinks::of(runs);
    let parameters: [&(dyn ToSql + Sync); 16] = [
        &ids,
        &keys,
        &specs,
        &digests,
        &priorities,
        &deadlines,
        &attempts,
        &labels,
        &targets,
        &eval_sets,
        &sinks.run,
        &sinks.place,
        &sinks.kind,
        &sinks.destination,
        &sinks.timeout_ms,
        &sinks.document,
    ];
    let rows = database.query(&sql::SUBMIT, &parameters).await?;
    rows.iter().map(|row| Ok((rows::column(row, "run_id")?, rows::column(row, "created_at")?))).collect()
}

/// The sinks of a group of runs, column by column.
#[derive(Default)]
struct Sinks<'a> {
    run: Vec<Uuid>,
    place: Vec<i16>,
    kind: Vec<&'static str>,
    destination: Vec<Cow<'a, str>>,
    timeout_ms: Vec<i32>,
    document: Vec<Cow<'a, str>>,
}

impl<'a> Sinks<'a> {
    fn of(runs: &[&'a Submission]) -> Self {
        let mut columns = Self::default();
        for run in runs {
            for (sink, place) in run.sinks.iter().zip(0..) {
                columns.run.push(run.id.0);
                columns.place.push(place);
                columns.kind.push(name_of(&SinkKind::NAMES, &sink.kind));
                columns.destination.push(text(&sink.destination));
                columns.timeout_ms.push(i32::try_from(sink.timeout.as_millis()).unwrap_or(i32::MAX));
                columns.document.push(text(&sink.document));
            }
        }
        columns
    }
}

async fn find(database: &Database, runs: &[&Submission]) -> StoreResult<Vec<Row>> {
    let ids: Vec<_> = runs.iter().map(|run| run.id.0).collect();
    let keys: Vec<_> = runs.iter().filter_map(|run| key(run)).collect();
    Ok(database.query(&sql::FIND, &[&ids, &keys]).await?)
}

/// Compares a submission with what is stored under its id or, failing that, its key.
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
