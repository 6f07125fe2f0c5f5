//! Turns rows into the types of the domain.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, anyhow};
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use tokio_postgres::Row;
use tokio_postgres::row::RowIndex;
use tokio_postgres::types::FromSql;

use crate::ids::{LeaseId, RunId};
use crate::queue::{Claimed, Held, Lease, Scan};
use crate::runs::{
    EvaluatorType, EventKind, Failure, FeedEvent, FeedPage, FeedPosition, Progress, ResultRecord,
    ResultStatus, Run, RunEvent, RunStatus, StoreError, StoreResult, StoredResult, Verdict,
};
use crate::spec::TargetKind;

/// The value of a column.
pub(super) fn column<'r, T: FromSql<'r>>(
    row: &'r Row,
    column: impl RowIndex + std::fmt::Display + Copy,
) -> StoreResult<T> {
    let value = row.try_get(column).map_err(anyhow::Error::new);
    value.with_context(|| format!("column `{column}`")).map_err(StoreError::Other)
}

/// A number that is never negative.
pub(super) fn number<'r, T: FromSql<'r> + TryInto<u32>>(row: &'r Row, name: &str) -> StoreResult<u32> {
    let number = column::<T>(row, name)?.try_into();
    number.map_err(|_| StoreError::Other(anyhow!("column `{name}` is out of range")))
}

/// A JSON document.
fn json<T: DeserializeOwned>(text: &str, name: &str) -> StoreResult<T> {
    let value = serde_json::from_str(text).map_err(anyhow::Error::new);
    value.with_context(|| format!("column `{name}`")).map_err(StoreError::Other)
}

/// The value of a name.
pub(super) fn choice<T: Copy>(names: &[(&'static str, T)], name: &str) -> StoreResult<T> {
    let found = names.iter().find(|(known, _)| *known == name);
    found.map(|(_, value)| *value).ok_or_else(|| {
        StoreError::Other(anyhow!("unknown value `{name}`; was it written by a newer version?"))
    })
}

/// A row of `run_state`.
pub(super) fn run(row: &Row) -> StoreResult<Run> {
    let verdict: Option<&str> = column(row, "verdict")?;
    let progress: (Option<i32>, Option<i32>) = (column(row, "done")?, column(row, "total")?);
    let units = |(done, total): (Option<i32>, Option<i32>)| {
        Some(Progress { done: done?.unsigned_abs(), total: total?.unsigned_abs() })
    };
    let code: Option<String> = column(row, "error_code")?;
    let message: Option<String> = column(row, "error_message")?;
    let summary: Option<&str> = column::<Option<Json<'_>>>(row, "summary")?.map(|json| json.0);
    Ok(Run {
        id: RunId(column(row, "run_id")?),
        status: choice(&RunStatus::NAMES, column(row, "status")?)?,
        verdict: verdict.map(|verdict| choice(&Verdict::NAMES, verdict)).transpose()?,
        attempt: number::<i16>(row, "attempt")?,
        max_attempts: number::<i16>(row, "max_attempts")?,
        priority: column(row, "priority")?,
        deadline: Duration::from_secs(number::<i32>(row, "deadline_s")?.into()),
        labels: json::<BTreeMap<_, _>>(column::<Json<'_>>(row, "labels")?.0, "labels")?,
        target_kind: choice(&TargetKind::NAMES, column(row, "target_kind")?)?,
        eval_set_id: column(row, "eval_set_id")?,
        worker: column(row, "worker")?,
        progress: units(progress),
        failure: code.map(|code| Failure { code, message: message.unwrap_or_default() }),
        summary: summary.map(|summary| json(summary, "summary")).transpose()?,
        created_at: column(row, "created_at")?,
        started_at: column(row, "started_at")?,
        finished_at: column(row, "finished_at")?,
        cancel_requested: column(row, "cancel_requested")?,
    })
}

/// Checks the version of the schema.
///
/// A newer one is accepted, even while it is being migrated: migrations keep the schema usable by the version before.
pub(super) fn check_schema(row: Option<&Row>, needed: u32) -> StoreResult<()> {
    let version: i64 = row.map_or(Ok(0), |row| column(row, "version"))?;
    let is_dirty: bool = row.map_or(Ok(false), |row| column(row, "dirty"))?;
    match version.cmp(&needed.into()) {
        Ordering::Greater => Ok(()),
        Ordering::Equal if !is_dirty => Ok(()),
        _ => Err(StoreError::Unavailable(format!(
            "the schema is at version {version}{} and has to be at {needed}; run `agentevals migrate up`",
            if is_dirty { ", half done," } else { "" }
        ))),
    }
}

/// The text of a `json` or `jsonb` column.
struct Json<'r>(&'r str);

impl<'r> FromSql<'r> for Json<'r> {
    fn from_sql(
        kind: &tokio_postgres::types::Type,
        raw: &'r [u8],
    ) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        // The binary format of jsonb begins with a version byte.
        let text =
            if *kind == tokio_postgres::types::Type::JSONB { raw.get(1..).unwrap_or(raw) } else { raw };
        Ok(Self(std::str::from_utf8(text)?))
    }

    tokio_postgres::types::accepts!(JSON, JSONB);
}

pub(super) fn claimed(row: &Row) -> StoreResult<Claimed> {
    Ok(Claimed {
        lease: lease(row)?,
        attempt: number::<i16>(row, "attempt")?,
        max_attempts: number::<i16>(row, "max_attempts")?,
        deadline: Duration::from_secs(number::<i32>(row, "deadline_s")?.into()),
        spec: column(row, "document")?,
        has_sinks: column(row, "has_sinks")?,
    })
}

fn lease(row: &Row) -> StoreResult<Lease> {
    Ok(Lease { run: RunId(column(row, "run_id")?), id: LeaseId(column(row, "lease_id")?) })
}

pub(super) fn held(row: &Row) -> StoreResult<Held> {
    Ok(Held { lease: lease(row)?, cancel_requested: column(row, "cancel_requested")? })
}

pub(super) fn scan(row: &Row) -> StoreResult<Scan> {
    let next_due: Option<i64> = column(row, "next_due_ms")?;
    Ok(Scan {
        has_due: column(row, "has_due")?,
        has_lost: column(row, "has_lost")?,
        next_due: next_due.map(|milliseconds| Duration::from_millis(milliseconds.max(0).unsigned_abs())),
    })
}

pub(super) fn result(row: &Row) -> StoreResult<StoredResult> {
    let details: Option<String> = column(row, "details")?;
    let details = details.map(RawValue::from_string).transpose().map_err(anyhow::Error::new)?;
    let record = ResultRecord {
        ordinal: number::<i32>(row, "ordinal")?,
        item_id: column(row, "eval_set_item_id")?,
        item_name: column(row, "eval_set_item_name")?,
        eval_case_id: column(row, "eval_case_id")?,
        evaluator_name: column(row, "evaluator_name")?,
        evaluator_type: choice(&EvaluatorType::NAMES, column(row, "evaluator_type")?)?,
        status: choice(&ResultStatus::NAMES, column(row, "status")?)?,
        score: column(row, "score")?,
        per_invocation_scores: json(column(row, "per_invocation_scores")?, "per_invocation_scores")?,
        trace_id: column(row, "trace_id")?,
        span_id: column(row, "span_id")?,
        details,
        error_text: column(row, "error_text")?,
        latency_ms: column(row, "latency_ms")?,
    };
    let attempt = number::<i16>(row, "attempt")?;
    Ok(StoredResult { record, attempt, created_at: column(row, "created_at")? })
}

pub(super) fn event(row: &Row) -> StoreResult<RunEvent> {
    Ok(RunEvent {
        run: RunId(column(row, "run_id")?),
        seq: number::<i32>(row, "seq")?,
        kind: choice(&EventKind::NAMES, column(row, "kind")?)?,
        at: column(row, "at")?,
        data: json(column(row, "data")?, "data")?,
    })
}

/// A transaction id, which the statement casts to text, since the driver cannot decode `xid8`.
pub(super) fn transaction(row: &Row, name: &str) -> StoreResult<u64> {
    let text: &str = column(row, name)?;
    Ok(text.parse().with_context(|| format!("column `{name}`: `{text}`"))?)
}

/// A page of the feed: the rows up to the first that is not final. There is more after such a row, and after as many
/// rows as asked for.
pub(super) fn feed(rows: &[Row], limit: i64) -> StoreResult<FeedPage> {
    let mut page = FeedPage { events: Vec::with_capacity(rows.len()), has_more: rows.len() as i64 == limit };
    for row in rows {
        if !column::<bool>(row, "is_final")? {
            page.has_more = true;
            break;
        }
        let event = event(row)?;
        let transaction = transaction(row, "transaction")?;
        let position = FeedPosition { transaction, run: event.run, seq: event.seq };
        page.events.push(FeedEvent { position, event, labels: json(column(row, "labels")?, "labels")? });
    }
    Ok(page)
}
