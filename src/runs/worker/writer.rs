//! Stores results and endings; what coincides is committed as a group.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tracing::{error, warn};

use crate::runs::batch::Batcher;
use crate::runs::model::{Ending, Failure, Lease, Record, ResultRecord};
use crate::runs::store::{RunStore, StoreError};

/// Waits between attempts to reach storage that cannot be reached.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const MAX_PAUSE: Duration = Duration::from_secs(2);

/// Writes records in the order in which they are sent.
#[derive(Debug, Clone)]
pub(super) struct Writer(Batcher<Record, bool>);

impl Writer {
    /// Starts the task; it ends when the last handle is gone and everything sent is written.
    pub(super) fn spawn(store: Arc<dyn RunStore>) -> Self {
        Self(Batcher::spawn(weight, move |records| write(store.clone(), records)))
    }

    /// Sends a record; the answer says whether its lease was still held.
    pub(super) async fn send(&self, record: Record) -> oneshot::Receiver<bool> {
        self.0.send(record).await
    }
}

/// About the bytes of a record.
fn weight(record: &Record) -> usize {
    let details =
        |result: &ResultRecord| result.details.as_ref().map_or(0, |details| details.get().len()) + 200;
    record.results.iter().map(details).sum()
}

/// Writes a group, what belongs to one claim together.
async fn write(store: Arc<dyn RunStore>, records: Vec<Record>) -> Vec<bool> {
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
    let held = write_group(&*store, &merged).await;
    order.into_iter().map(|place| held.get(place).copied().unwrap_or(false)).collect()
}

/// Writes a group; when it cannot be stored, each record on its own, so that one does not cost the others.
async fn write_group(store: &dyn RunStore, records: &[Record]) -> Vec<bool> {
    // A run that this process lost and claimed again is here twice, and one call takes one record per run.
    let runs: HashSet<_> = records.iter().map(|record| record.lease.run).collect();
    if runs.len() == records.len()
        && let Ok(held) = write_persistently(store, records).await
    {
        return held;
    }
    let mut held = Vec::with_capacity(records.len());
    for record in records {
        held.push(match write_persistently(store, std::slice::from_ref(record)).await {
            Ok(answer) => answer.first().copied().unwrap_or(false),
            Err(error) => give_up(store, record, &error).await,
        });
    }
    held
}

/// Writes records for as long as storage cannot be reached. Each is fenced, so repeating is safe.
async fn write_persistently(store: &dyn RunStore, records: &[Record]) -> anyhow::Result<Vec<bool>> {
    let mut pause = FIRST_PAUSE;
    loop {
        match store.record(records).await {
            Ok(held) => return Ok(held),
            Err(StoreError::Unavailable(why) | StoreError::Full(why)) => {
                if pause == FIRST_PAUSE {
                    warn!("results cannot be stored; trying again: {why}");
                }
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(MAX_PAUSE);
            }
            Err(StoreError::Other(error)) => return Err(error),
        }
    }
}

/// Ends a run whose results cannot be stored; without this it would be tried again for ever.
async fn give_up(store: &dyn RunStore, record: &Record, cause: &anyhow::Error) -> bool {
    let Record { lease, write, attempt, has_sinks, .. } = *record;
    error!(run.id = %lease.run, "results of run `{}` cannot be stored: {cause:#}", lease.run);
    let failure = Failure::new("internal_error", "its results could not be stored; see the server's log");
    let ending = Some(Ending::Failed(failure));
    let failed = Record { lease, write, attempt, progress: None, results: Vec::new(), ending, has_sinks };
    let written = write_persistently(store, &[failed]).await;
    written.ok().and_then(|answer| answer.first().copied()).unwrap_or(false)
}
