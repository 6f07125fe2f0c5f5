//! Runs in memory: nothing to install, the whole API works, nothing survives the process.
//!
//! Bounded: the oldest finished runs are forgotten when there are too many; when all are unfinished, submissions are
//! refused.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use tokio::time::Instant;
use uuid::Uuid;

use crate::ids::{LeaseId, RunId};
use crate::runs::hints::{Hint, Hints};
use crate::runs::model::{
    Claimed, Ending, EventData, EventKind, Failure, Lease, NewRun, Record, Run, RunEvent, SpecDigest, Status,
    StoredResult, Submitted, Summary,
};
use crate::runs::store::{
    FeedEvent, FeedPage, FeedPosition, Held, LEASE_LOST, Result, ResultFilter, Retried, RunFilter, RunStore,
    Scan, StoreError,
};

/// How much is kept.
#[derive(Debug, Clone, Copy)]
pub struct MemoryLimits {
    /// Runs in all.
    pub runs: usize,
    /// Bytes of their specifications.
    pub spec_bytes: usize,
}

impl Default for MemoryLimits {
    /// As many runs as a busy team makes in a day, in memory that a laptop has.
    fn default() -> Self {
        Self { runs: 10_000, spec_bytes: 512 << 20 }
    }
}

/// Keeps runs in memory.
#[derive(Debug)]
pub struct MemoryStore {
    limits: MemoryLimits,
    hints: Hints,
    state: Mutex<State>,
}

impl MemoryStore {
    /// An empty store that tells `hints` of changes.
    pub fn new(limits: MemoryLimits, hints: Hints) -> Self {
        Self { limits, hints, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every change is made whole or not at all before anything can panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state, then tells of the events that were added.
    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let (value, changed) = {
            let mut state = self.state();
            let value = change(&mut state);
            (value, std::mem::take(&mut state.changed))
        };
        if !changed.is_empty() {
            self.hints.send(Hint::Events(Arc::new(changed)));
        }
        value
    }
}

#[derive(Debug, Default)]
struct State {
    runs: HashMap<RunId, Entry>,
    by_key: HashMap<String, RunId>,
    by_age: BTreeSet<(DateTime<Utc>, RunId)>,
    queue: BTreeMap<QueueKey, RunId>,
    /// How many times a run was put into the queue.
    queued: u64,
    spec_bytes: usize,
    /// Events of all runs in the order in which they happened.
    feed: BTreeSet<FeedPosition>,
    feed_length: u64,
    /// Runs that got events since watchers were last told.
    changed: BTreeSet<RunId>,
}

/// Claim order: minus the priority, then age.
type QueueKey = (i16, u64);

#[derive(Debug)]
struct Entry {
    run: Run,
    spec: String,
    digest: SpecDigest,
    idempotency_key: Option<String>,
    queue_key: QueueKey,
    lease: Option<LeaseId>,
    last_write: Option<Uuid>,
    /// When the lease or the back-off ends; `None` is long ago.
    lease_until: Option<Instant>,
    /// The claim after which a lost lease or a transient failure ends it; later with each retry.
    last_attempt: u32,
    events: Vec<RunEvent>,
    feed: Vec<FeedPosition>,
    results: BTreeMap<u32, StoredResult>,
}

impl Entry {
    fn is_free(&self, now: Instant) -> bool {
        self.lease_until.is_none_or(|until| until <= now)
    }

    fn is_due(&self, now: Instant) -> bool {
        self.lease.is_none() && self.is_free(now)
    }

    fn is_lost(&self, now: Instant) -> bool {
        self.lease.is_some() && self.is_free(now)
    }

    fn give_back(&mut self, until: Option<Instant>) {
        (self.lease, self.lease_until) = (None, until);
        (self.run.status, self.run.worker, self.run.progress) = (Status::Queued, None, None);
    }
}

impl State {
    /// The run that this lease holds.
    fn held(&mut self, lease: Lease) -> Option<&mut Entry> {
        self.runs.get_mut(&lease.run).filter(|entry| entry.lease == Some(lease.id))
    }

    fn append(&mut self, id: RunId, kind: EventKind, data: EventData) {
        let Some(entry) = self.runs.get_mut(&id) else { return };
        let seq = entry.events.len() as u32 + 1;
        self.feed_length += 1;
        let position = FeedPosition { transaction: self.feed_length, run: id, seq };
        entry.events.push(RunEvent { run: id, seq, kind, at: now(), data });
        entry.feed.push(position);
        self.feed.insert(position);
        self.changed.insert(id);
    }

    fn enqueue(&mut self, id: RunId) {
        self.queued += 1;
        let Some(entry) = self.runs.get_mut(&id) else { return };
        entry.queue_key = (-entry.run.priority, self.queued);
        self.queue.insert(entry.queue_key, id);
        self.append(id, EventKind::Queued, EventData::default());
    }

    fn end(&mut self, id: RunId, ending: &Ending) {
        let Some(entry) = self.runs.get_mut(&id) else { return };
        self.queue.remove(&entry.queue_key);
        entry.give_back(None);
        let run = &mut entry.run;
        entry.results.retain(|_, result| result.attempt == run.attempt);
        run.status = ending.status();
        run.finished_at = Some(now());
        match ending {
            Ending::Succeeded { verdict, summary } => {
                (run.verdict, run.summary) = (Some(*verdict), Some(Summary::clone(summary)));
            }
            Ending::Failed(failure) => run.failure = Some(failure.clone()),
            Ending::Cancelled => run.cancel_requested = true,
        }
    }

    fn existing(&self, new: &NewRun) -> Option<Submitted> {
        let by_key = || self.by_key.get(new.idempotency_key.as_ref()?).and_then(|id| self.runs.get(id));
        let entry = self.runs.get(&new.id).or_else(by_key)?;
        let run = entry.run.clone();
        Some(if entry.digest == new.digest { Submitted::Same(run) } else { Submitted::Conflict(run) })
    }

    /// Forgets the oldest finished runs until a new one fits.
    fn make_room(&mut self, limits: MemoryLimits, bytes: usize) -> Result<()> {
        if bytes > limits.spec_bytes {
            let text = format!("a specification of {bytes} bytes does not fit; use `--storage postgres`");
            return Err(StoreError::Full(text));
        }
        while self.runs.len() >= limits.runs || self.spec_bytes + bytes > limits.spec_bytes {
            let is_finished = |id: &RunId| self.runs.get(id).is_some_and(|e| e.run.status.is_terminal());
            let Some(oldest) = self.by_age.iter().find(|(_, id)| is_finished(id)).copied() else {
                let text = "too much waits in memory; try again later or use `--storage postgres`";
                return Err(StoreError::Full(text.into()));
            };
            self.forget(oldest.1);
        }
        Ok(())
    }

    fn forget(&mut self, id: RunId) {
        let Some(entry) = self.runs.remove(&id) else { return };
        self.by_age.remove(&(entry.run.created_at, id));
        self.queue.remove(&entry.queue_key);
        self.spec_bytes -= entry.spec.len();
        for position in &entry.feed {
            self.feed.remove(position);
        }
        entry.idempotency_key.map(|key| self.by_key.remove(&key));
    }

    /// Stores new runs, all or none.
    fn submit(&mut self, runs: &[NewRun], limits: MemoryLimits) -> Result<Vec<Submitted>> {
        let mut submitted = Vec::with_capacity(runs.len());
        for new in runs {
            if let Some(existing) = self.existing(new) {
                submitted.push(existing);
                continue;
            }
            if let Err(full) = self.make_room(limits, new.spec.len()) {
                for answer in submitted {
                    if let Submitted::Created(run) = answer {
                        self.forget(run.id);
                        self.changed.remove(&run.id);
                    }
                }
                return Err(full);
            }
            submitted.push(Submitted::Created(self.insert(new)));
        }
        Ok(submitted)
    }

    fn insert(&mut self, new: &NewRun) -> Run {
        let run = Run {
            id: new.id,
            status: Status::Queued,
            verdict: None,
            attempt: 0,
            max_attempts: new.max_attempts,
            priority: new.priority,
            deadline: new.deadline,
            labels: new.labels.clone(),
            worker: None,
            progress: None,
            failure: None,
            summary: None,
            created_at: now(),
            started_at: None,
            finished_at: None,
            cancel_requested: false,
        };
        let entry = Entry {
            run: run.clone(),
            spec: new.spec.clone(),
            digest: new.digest,
            idempotency_key: new.idempotency_key.clone(),
            queue_key: (0, 0),
            lease: None,
            last_write: None,
            lease_until: None,
            last_attempt: new.max_attempts,
            events: Vec::new(),
            feed: Vec::new(),
            results: BTreeMap::new(),
        };
        self.by_age.insert((run.created_at, run.id));
        self.spec_bytes += entry.spec.len();
        self.by_key.extend(new.idempotency_key.clone().map(|key| (key, new.id)));
        self.runs.insert(new.id, entry);
        self.enqueue(new.id);
        run
    }

    fn record(&mut self, record: &Record) -> bool {
        let Some(entry) = self.held(record.lease) else { return false };
        if entry.last_write.replace(record.write) == Some(record.write) {
            return true; // repeated, because its answer was lost
        }
        for result in &record.results {
            let (attempt, created_at) = (record.attempt, now());
            let stored = StoredResult { record: result.clone(), attempt, created_at };
            entry.results.insert(result.ordinal, stored);
        }
        entry.run.progress = record.progress.or(entry.run.progress);
        for (kind, data) in record.events() {
            self.append(record.lease.run, kind, data);
        }
        if let Some(ending) = &record.ending {
            self.end(record.lease.run, ending);
        }
        true
    }

    /// Settles one run whose lease ended.
    fn settle(&mut self, id: RunId) {
        let Some(entry) = self.runs.get_mut(&id) else { return };
        let attempt = Some(entry.run.attempt);
        if entry.run.cancel_requested {
            self.end(id, &Ending::Cancelled);
            self.append(id, EventKind::Cancelled, EventData { attempt, ..EventData::default() });
            return;
        }
        let Failure { code, message } = Failure::new(LEASE_LOST.0, LEASE_LOST.1);
        let data = EventData { attempt, code: Some(code), message: Some(message), ..EventData::default() };
        if entry.run.attempt >= entry.last_attempt {
            self.end(id, &Ending::Failed(Failure::new(LEASE_LOST.0, LEASE_LOST.1)));
            self.append(id, EventKind::Failed, data);
        } else {
            entry.give_back(None);
            self.append(id, EventKind::Requeued, data);
        }
    }
}

/// The time, as exact as PostgreSQL keeps it.
fn now() -> DateTime<Utc> {
    let now = Utc::now();
    DateTime::from_timestamp_micros(now.timestamp_micros()).unwrap_or(now)
}

fn fits(run: &Run, filter: &RunFilter) -> bool {
    let has_label = |(key, value): &(String, String)| run.labels.get(key) == Some(value);
    (filter.statuses.is_empty() || filter.statuses.contains(&run.status))
        && (filter.verdicts.is_empty()
            || run.verdict.is_some_and(|verdict| filter.verdicts.contains(&verdict)))
        && filter.labels.iter().all(has_label)
        && filter.created_from.is_none_or(|from| run.created_at >= from)
        && filter.created_before.is_none_or(|before| run.created_at < before)
}

#[async_trait]
impl RunStore for MemoryStore {
    async fn submit(&self, runs: &[NewRun]) -> Result<Vec<Submitted>> {
        let submitted = self.change(|state| state.submit(runs, self.limits))?;
        self.hints.send(Hint::Due(Duration::ZERO));
        Ok(submitted)
    }

    async fn run(&self, id: RunId) -> Result<Option<Run>> {
        Ok(self.state().runs.get(&id).map(|entry| entry.run.clone()))
    }

    async fn spec(&self, id: RunId) -> Result<Option<String>> {
        Ok(self.state().runs.get(&id).map(|entry| entry.spec.clone()))
    }

    async fn list(&self, filter: &RunFilter) -> Result<Vec<Run>> {
        let state = self.state();
        let end = filter.after.map_or(Bound::Unbounded, Bound::Excluded);
        let newest_first = state.by_age.range((Bound::Unbounded, end)).rev();
        let runs = newest_first.filter_map(|(_, id)| state.runs.get(id)).map(|entry| &entry.run);
        Ok(runs.filter(|run| fits(run, filter)).take(filter.limit).cloned().collect())
    }

    async fn results(&self, id: RunId, filter: &ResultFilter) -> Result<Vec<StoredResult>> {
        let state = self.state();
        let Some(entry) = state.runs.get(&id) else { return Ok(Vec::new()) };
        let start = filter.after.map_or(Bound::Unbounded, Bound::Excluded);
        let fits = |result: &&StoredResult| {
            let StoredResult { record, .. } = result;
            (filter.statuses.is_empty() || filter.statuses.contains(&record.status))
                && (filter.evaluators.is_empty() || filter.evaluators.contains(&record.evaluator_name))
        };
        let results = entry.results.range((start, Bound::Unbounded)).map(|(_, result)| result);
        Ok(results.filter(fits).take(filter.limit).cloned().collect())
    }

    async fn cancel(&self, id: RunId) -> Result<Option<Run>> {
        let run = self.change(|state| {
            let entry = state.runs.get_mut(&id)?;
            let attempt = Some(entry.run.attempt);
            match entry.run.status {
                Status::Running => entry.run.cancel_requested = true,
                Status::Queued => {
                    state.end(id, &Ending::Cancelled);
                    state.append(id, EventKind::Cancelled, EventData { attempt, ..EventData::default() });
                }
                Status::Succeeded | Status::Failed | Status::Cancelled => {}
            }
            state.runs.get(&id).map(|entry| entry.run.clone())
        });
        if run.as_ref().is_some_and(|run| run.status == Status::Running) {
            self.hints.send(Hint::Cancel(id));
        }
        Ok(run)
    }

    async fn retry(&self, id: RunId) -> Result<Option<Retried>> {
        let retried = self.change(|state| {
            let entry = state.runs.get_mut(&id)?;
            let run = &mut entry.run;
            if !matches!(run.status, Status::Failed | Status::Cancelled) {
                return Some(Retried::Refused(run.clone()));
            }
            entry.last_attempt = run.attempt + run.max_attempts;
            (run.status, run.failure, run.finished_at) = (Status::Queued, None, None);
            run.cancel_requested = false;
            let run = run.clone();
            state.enqueue(id);
            Some(Retried::Queued(run))
        });
        self.hints.send(Hint::Due(Duration::ZERO));
        Ok(retried)
    }

    async fn claim(&self, worker: &str, limit: usize, lease: Duration) -> Result<Vec<Claimed>> {
        let now = Instant::now();
        Ok(self.change(|state| {
            let is_due = |id: &RunId| state.runs.get(id).is_some_and(|entry| entry.is_due(now));
            let due: Vec<_> = state.queue.values().copied().filter(is_due).take(limit).collect();
            let claim = |id: RunId| {
                let entry = state.runs.get_mut(&id)?;
                let lease_id = LeaseId::new_random();
                (entry.lease, entry.lease_until) = (Some(lease_id), Some(now + lease));
                let run = &mut entry.run;
                (run.status, run.worker) = (Status::Running, Some(worker.to_owned()));
                run.attempt += 1;
                run.started_at.get_or_insert_with(self::now);
                let claimed = Claimed {
                    lease: Lease { run: id, id: lease_id },
                    attempt: run.attempt,
                    max_attempts: entry.last_attempt,
                    deadline: run.deadline,
                    spec: entry.spec.clone(),
                };
                let (attempt, worker_id) = (Some(run.attempt), Some(worker.to_owned()));
                state.append(
                    id,
                    EventKind::Started,
                    EventData { attempt, worker_id, ..EventData::default() },
                );
                Some(claimed)
            };
            due.into_iter().filter_map(claim).collect()
        }))
    }

    async fn heartbeat(&self, leases: &[Lease], lease: Duration) -> Result<Vec<Held>> {
        let until = Instant::now() + lease;
        let mut state = self.state();
        let extend = |lease: &Lease| {
            let entry = state.held(*lease)?;
            entry.lease_until = Some(until);
            Some(Held { lease: *lease, cancel_requested: entry.run.cancel_requested })
        };
        Ok(leases.iter().filter_map(extend).collect())
    }

    async fn record(&self, records: &[Record]) -> Result<Vec<bool>> {
        Ok(self.change(|state| records.iter().map(|record| state.record(record)).collect()))
    }

    async fn requeue(&self, lease: Lease, reason: &Failure, delay: Duration) -> Result<bool> {
        let is_requeued = self.change(|state| {
            let Some(entry) = state.held(lease).filter(|entry| !entry.run.cancel_requested) else {
                return false;
            };
            entry.give_back(Some(Instant::now() + delay));
            let Failure { code, message } = reason.clone();
            let (attempt, code, message) = (Some(entry.run.attempt), Some(code), Some(message));
            let data = EventData { attempt, code, message, ..EventData::default() };
            state.append(lease.run, EventKind::Requeued, data);
            true
        });
        self.hints.send(Hint::Due(delay));
        Ok(is_requeued)
    }

    async fn release(&self, leases: &[Lease]) -> Result<()> {
        self.change(|state| {
            for lease in leases {
                let Some(entry) = state.held(*lease).filter(|entry| !entry.run.cancel_requested) else {
                    continue;
                };
                entry.give_back(None);
                entry.run.attempt -= 1;
                entry.results.clear(); // the next claim bears the same number; they would pass for its own
                let (attempt, code) = (Some(entry.run.attempt), Some("shutdown".to_owned()));
                let message = Some("its worker is shutting down".to_owned());
                let data = EventData { attempt, code, message, ..EventData::default() };
                state.append(lease.run, EventKind::Requeued, data);
            }
        });
        self.hints.send(Hint::Due(Duration::ZERO));
        Ok(())
    }

    async fn settle(&self) -> Result<usize> {
        let now = Instant::now();
        let settled = self.change(|state| {
            let is_lost = |id: &RunId| state.runs.get(id).is_some_and(|entry| entry.is_lost(now));
            let lost: Vec<_> = state.queue.values().copied().filter(is_lost).collect();
            lost.iter().for_each(|id| state.settle(*id));
            lost.len()
        });
        self.hints.send(Hint::Due(Duration::ZERO));
        Ok(settled)
    }

    async fn scan(&self) -> Result<Scan> {
        let (now, state) = (Instant::now(), self.state());
        let entries = || state.queue.values().filter_map(|id| state.runs.get(id));
        let waiting = entries().filter_map(|entry| entry.lease_until).filter(|until| *until > now);
        Ok(Scan {
            has_due: entries().any(|entry| entry.is_due(now)),
            has_lost: entries().any(|entry| entry.is_lost(now)),
            next_due: waiting.min().map(|until| until - now),
        })
    }

    async fn events(&self, after: &[(RunId, u32)], limit: usize) -> Result<Vec<RunEvent>> {
        let state = self.state();
        let mut after = after.to_vec();
        after.sort_unstable();
        let events = after.iter().filter_map(|(id, after)| Some((state.runs.get(id)?, *after as usize)));
        let events = events.flat_map(|(entry, after)| entry.events.iter().skip(after));
        Ok(events.take(limit).cloned().collect())
    }

    async fn feed(&self, after: FeedPosition, limit: usize) -> Result<FeedPage> {
        let state = self.state();
        let positions = state.feed.range((Bound::Excluded(after), Bound::Unbounded));
        let event = |position: &FeedPosition| {
            let entry = state.runs.get(&position.run)?;
            let event = entry.events.get(position.seq as usize - 1)?.clone();
            Some(FeedEvent { position: *position, event, labels: entry.run.labels.clone() })
        };
        let events: Vec<_> = positions.filter_map(event).take(limit).collect();
        Ok(FeedPage { has_more: events.len() == limit, events })
    }

    async fn feed_end(&self) -> Result<FeedPosition> {
        let end = self.state().feed.last().copied();
        Ok(end.unwrap_or(FeedPosition::START))
    }

    async fn check(&self) -> Result<()> {
        Ok(())
    }
}
