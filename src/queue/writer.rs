//! Writes records of attempts; records that coincide are committed as a group.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use tokio::sync::oneshot;
use tracing::{error, info, warn};

use super::model::{Lease, PreparedRecord, Record};
use super::port::Queue;
use crate::batch::Batcher;
use crate::pace::Pace;
use crate::runs::{Ending, Failure, ResultRecord, StoreError};

/// Pauses between writes while storage is unavailable.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const MAX_PAUSE: Duration = Duration::from_secs(2);

/// Writes records in the order in which they are sent.
#[derive(Debug, Clone)]
pub(super) struct Writer(Batcher<Record, bool>);

impl Writer {
    /// Starts the task, which ends when the last handle is gone and all records are written.
    pub(super) fn spawn(queue: Arc<dyn Queue>) -> Self {
        Self(Batcher::spawn(weight, move |records| write(queue.clone(), records)))
    }

    /// Sends a record; the receiver gets whether its lease was still held.
    pub(super) async fn send(&self, record: Record) -> oneshot::Receiver<bool> {
        self.0.send(record).await
    }
}

/// Approximate size of a record in bytes.
fn weight(record: &Record) -> usize {
    let details =
        |result: &ResultRecord| result.details.as_ref().map_or(0, |details| details.get().len()) + 200;
    record.results.iter().map(details).sum()
}

/// Writes a group; records of one lease are merged into one.
async fn write(queue: Arc<dyn Queue>, records: Vec<Record>) -> Vec<bool> {
    let mut places: HashMap<Lease, usize> = HashMap::with_capacity(records.len());
    let mut merged: Vec<Record> = Vec::with_capacity(records.len());
    let mut order = Vec::with_capacity(records.len());
    for record in records {
        let place = *places.entry(record.lease).or_insert(merged.len());
        match merged.get_mut(place) {
            Some(earlier) => earlier.extend(record),
            None => merged.push(record),
        }
        order.push(place);
    }
    let held = write_group(&*queue, &merged).await;
    order.into_iter().map(|place| held.get(place).copied().unwrap_or(false)).collect()
}

/// Writes a group. If that fails, writes each record on its own, so that a record that cannot be stored does not fail
/// the others.
async fn write_group(queue: &dyn Queue, records: &[Record]) -> Vec<bool> {
    // A call takes one record per run, but a run that this process lost and claimed again is here under two leases.
    let runs: HashSet<_> = records.iter().map(|record| record.lease.run).collect();
    if runs.len() == records.len()
        && let Ok(held) = write_with_messages(queue, records).await
    {
        return held;
    }
    let mut held = Vec::with_capacity(records.len());
    for record in records {
        held.push(match write_with_messages(queue, std::slice::from_ref(record)).await {
            Ok(answer) => answer.first().copied().unwrap_or(false),
            Err(error) => give_up(queue, record, &error).await,
        });
    }
    held
}

/// Writes records together with the messages to their sinks.
async fn write_with_messages(queue: &dyn Queue, records: &[Record]) -> anyhow::Result<Vec<bool>> {
    let now = Utc::now();
    let prepared = records.iter().map(|record| PreparedRecord::new(record, now));
    write_persistently(queue, &prepared.collect::<anyhow::Result<Vec<_>>>()?).await
}

/// Writes records, again and again while storage is unavailable. Repeating is safe: a write takes effect once, and only
/// under its lease.
async fn write_persistently(queue: &dyn Queue, records: &[PreparedRecord<'_>]) -> anyhow::Result<Vec<bool>> {
    let mut pace = Pace::new(FIRST_PAUSE, MAX_PAUSE);
    loop {
        match queue.record(records).await {
            Ok(held) => {
                if pace.succeeded() {
                    info!("results are stored again");
                }
                return Ok(held);
            }
            Err(StoreError::Unavailable(why) | StoreError::Full(why)) => {
                if pace.failed() {
                    warn!("results cannot be stored; trying again: {why}");
                }
                tokio::time::sleep(pace.pause()).await;
            }
            Err(StoreError::Other(error)) => return Err(error),
        }
    }
}

/// Fails a run whose results cannot be stored. Otherwise its lease would end and another attempt would fail likewise.
async fn give_up(queue: &dyn Queue, record: &Record, cause: &anyhow::Error) -> bool {
    let Record { lease, write, attempt, has_sinks, .. } = *record;
    error!(run.id = %lease.run, "results of run `{}` cannot be stored: {cause:#}", lease.run);
    let failure = Failure::new("internal_error", "its results could not be stored; see the server's log");
    let ending = Some(Ending::Failed(failure));
    let failed = Record { lease, write, attempt, progress: None, results: Vec::new(), ending, has_sinks };
    let written = write_with_messages(queue, &[failed]).await;
    written.ok().and_then(|answer| answer.first().copied()).unwrap_or(false)
}
