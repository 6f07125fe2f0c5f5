//! What is kept, and the changes that keep it whole.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::{DateTime, Utc};
use tokio::time::Instant;
use uuid::Uuid;

use super::limits::MemoryLimits;
use crate::ids::{LeaseId, RunId};
use crate::outbox::{MessageState, Phase};
use crate::queue::{LEASE_LOST, Lease, Record};
use crate::runs::{
    Ending, EventData, EventKind, Failure, FeedPosition, ResultRecord, Run, RunEvent, RunStatus, StoreError,
    StoreResult, StoredResult, Submitted, Summary,
};
use crate::spec::{SpecDigest, StoredSink, Submission};
use crate::uploads::FinishedRun;

/// All runs, their queue and the feed of their events.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) runs: HashMap<RunId, Entry>,
    pub(super) by_key: HashMap<String, RunId>,
    pub(super) by_age: BTreeSet<(DateTime<Utc>, RunId)>,
    pub(super) queue: BTreeMap<QueueKey, RunId>,
    /// How many times a run was put into the queue.
    pub(super) queued: u64,
    pub(super) spec_bytes: usize,
    /// Events of all runs in the order in which they happened.
    pub(super) feed: BTreeSet<FeedPosition>,
    pub(super) feed_length: u64,
    /// Runs that got events since watchers were last told.
    pub(super) changed: BTreeSet<RunId>,
    /// Messages to sinks that are pending.
    pub(super) in_line: BTreeSet<InLine>,
    /// Whether messages were written since deliverers were last told.
    pub(super) has_posted: bool,
}

/// Claim order: minus the priority, then age.
pub(super) type QueueKey = (i16, u64);

/// A run with everything about it.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) run: Run,
    pub(super) spec: String,
    pub(super) digest: SpecDigest,
    pub(super) idempotency_key: Option<String>,
    pub(super) queue_key: QueueKey,
    pub(super) lease: Option<LeaseId>,
    pub(super) last_write: Option<Uuid>,
    /// When the lease or the back-off ends; `None` is long ago.
    pub(super) lease_until: Option<Instant>,
    /// The claim after which a lost lease or a transient failure ends it; later with each retry.
    pub(super) last_attempt: u32,
    pub(super) events: Vec<RunEvent>,
    pub(super) feed: Vec<FeedPosition>,
    pub(super) results: BTreeMap<u32, StoredResult>,
    pub(super) sinks: Vec<StoredSink>,
    /// Messages by event, then by sink.
    pub(super) messages: BTreeMap<(u32, u16), StoredMessage>,
}

/// A message to one sink.
#[derive(Debug)]
pub(super) struct StoredMessage {
    pub(super) phase: Phase,
    pub(super) body: String,
    pub(super) state: MessageState,
    pub(super) tries: u32,
    /// When the claim or the wait ends; `None` is long ago.
    pub(super) due_at: Option<Instant>,
    pub(super) lease: Option<LeaseId>,
    pub(super) last_status: Option<u16>,
    pub(super) last_error: Option<String>,
    pub(super) created_at: DateTime<Utc>,
    pub(super) settled_at: Option<DateTime<Utc>>,
}

/// A message that is pending; of a run and sink the first is the one that can be claimed.
pub(super) type InLine = (RunId, u16, u32);

impl Entry {
    pub(super) fn is_free(&self, now: Instant) -> bool {
        self.lease_until.is_none_or(|until| until <= now)
    }

    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.lease.is_none() && self.is_free(now)
    }

    pub(super) fn is_lost(&self, now: Instant) -> bool {
        self.lease.is_some() && self.is_free(now)
    }

    /// Stores a result of an attempt.
    fn store(&mut self, result: &ResultRecord, attempt: u32) {
        let stored = StoredResult { record: result.clone(), attempt, created_at: now() };
        self.results.insert(result.ordinal, stored);
    }

    pub(super) fn give_back(&mut self, until: Option<Instant>) {
        (self.lease, self.lease_until) = (None, until);
        (self.run.status, self.run.worker, self.run.progress) = (RunStatus::Queued, None, None);
    }
}

impl State {
    /// The run that this lease holds.
    pub(super) fn held(&mut self, lease: Lease) -> Option<&mut Entry> {
        self.runs.get_mut(&lease.run).filter(|entry| entry.lease == Some(lease.id))
    }

    pub(super) fn append(&mut self, id: RunId, kind: EventKind, data: EventData) {
        self.append_at(now(), id, kind, data);
    }

    fn append_at(&mut self, at: DateTime<Utc>, id: RunId, kind: EventKind, data: EventData) {
        let Some(entry) = self.runs.get_mut(&id) else { return };
        let seq = entry.events.len() as u32 + 1;
        self.feed_length += 1;
        let position = FeedPosition { transaction: self.feed_length, run: id, seq };
        entry.events.push(RunEvent { run: id, seq, kind, at, data });
        entry.feed.push(position);
        self.feed.insert(position);
        self.changed.insert(id);
    }

    pub(super) fn enqueue(&mut self, id: RunId) {
        self.queued += 1;
        let Some(entry) = self.runs.get_mut(&id) else { return };
        entry.queue_key = (-entry.run.priority, self.queued);
        self.queue.insert(entry.queue_key, id);
        self.append(id, EventKind::Queued, EventData::default());
    }

    pub(super) fn end(&mut self, id: RunId, ending: &Ending) {
        self.end_at(now(), id, ending);
    }

    fn end_at(&mut self, at: DateTime<Utc>, id: RunId, ending: &Ending) {
        let Some(entry) = self.runs.get_mut(&id) else { return };
        self.queue.remove(&entry.queue_key);
        entry.give_back(None);
        let run = &mut entry.run;
        entry.results.retain(|_, result| result.attempt == run.attempt);
        run.status = ending.status();
        run.finished_at = Some(at);
        match ending {
            Ending::Succeeded { verdict, summary } => {
                (run.verdict, run.summary) = (Some(*verdict), Some(Summary::clone(summary)));
            }
            Ending::Failed(failure) => run.failure = Some(failure.clone()),
            Ending::Cancelled => run.cancel_requested = true,
        }
    }

    pub(super) fn existing(&self, new: &Submission) -> Option<Submitted> {
        let by_key = || self.by_key.get(new.idempotency_key.as_ref()?).and_then(|id| self.runs.get(id));
        let entry = self.runs.get(&new.id).or_else(by_key)?;
        Some(Submitted::again(new, entry.run.clone(), &entry.digest))
    }

    /// Forgets the oldest finished runs until a new one fits.
    pub(super) fn make_room(&mut self, limits: MemoryLimits, bytes: usize) -> StoreResult<()> {
        if bytes > limits.spec_bytes {
            let text = format!("a specification of {bytes} bytes does not fit; use `--storage postgres`");
            return Err(StoreError::Full(text));
        }
        while self.runs.len() >= limits.runs || self.spec_bytes + bytes > limits.spec_bytes {
            let is_over = |id: &RunId| {
                self.runs.get(id).is_some_and(|entry| entry.run.status.is_terminal())
                    && !self.has_messages(*id)
            };
            let Some(oldest) = self.by_age.iter().find(|(_, id)| is_over(id)).copied() else {
                let text = "too much waits in memory; try again later or use `--storage postgres`";
                return Err(StoreError::Full(text.into()));
            };
            self.forget(oldest.1);
        }
        Ok(())
    }

    /// Whether messages of a run are on their way to sinks.
    pub(super) fn has_messages(&self, run: RunId) -> bool {
        self.in_line.range((run, 0, 0)..=(run, u16::MAX, u32::MAX)).next().is_some()
    }

    /// Forgets a run and has its watchers told.
    pub(super) fn delete(&mut self, id: RunId) {
        self.forget(id);
        self.changed.insert(id);
    }

    pub(super) fn forget(&mut self, id: RunId) {
        let Some(entry) = self.runs.remove(&id) else { return };
        self.by_age.remove(&(entry.run.created_at, id));
        self.queue.remove(&entry.queue_key);
        self.spec_bytes -= entry.spec.len();
        for position in &entry.feed {
            self.feed.remove(position);
        }
        for (event, sink) in entry.messages.keys() {
            self.in_line.remove(&(id, *sink, *event));
        }
        entry.idempotency_key.map(|key| self.by_key.remove(&key));
    }

    /// Stores new runs, all or none.
    pub(super) fn submit(
        &mut self,
        submissions: &[Submission],
        limits: MemoryLimits,
    ) -> StoreResult<Vec<Submitted>> {
        let mut submitted = Vec::with_capacity(submissions.len());
        for new in submissions {
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

    pub(super) fn insert(&mut self, new: &Submission) -> Run {
        let run = self.keep(new, now());
        self.enqueue(new.id);
        run
    }

    /// Stores a run that is over; a second time it does nothing.
    pub(super) fn record_finished(
        &mut self,
        finished: &FinishedRun,
        limits: MemoryLimits,
    ) -> StoreResult<()> {
        let FinishedRun { elapsed, results, ending, .. } = finished;
        let new = finished.submission();
        if self.runs.contains_key(&new.id) {
            return Ok(());
        }
        self.make_room(limits, new.spec.len())?;
        let ended_at = now();
        let began_at = exact(ended_at - *elapsed);
        self.keep(&new, began_at);
        let Some(entry) = self.runs.get_mut(&new.id) else { return Ok(()) };
        (entry.run.attempt, entry.run.started_at) = (FinishedRun::ATTEMPT, Some(began_at));
        results.iter().for_each(|result| entry.store(result, FinishedRun::ATTEMPT));
        self.end_at(ended_at, new.id, ending);
        for (kind, data) in finished.events() {
            let at = if kind == EventKind::Started { began_at } else { ended_at };
            self.append_at(at, new.id, kind, data);
        }
        Ok(())
    }

    /// Keeps a new run, which is not in the queue yet.
    fn keep(&mut self, new: &Submission, created_at: DateTime<Utc>) -> Run {
        let run = Run::queued(new, created_at);
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
            sinks: new.sinks.clone(),
            messages: BTreeMap::new(),
        };
        self.by_age.insert((run.created_at, run.id));
        self.spec_bytes += entry.spec.len();
        self.by_key.extend(new.idempotency_key.clone().map(|key| (key, new.id)));
        self.runs.insert(new.id, entry);
        run
    }

    pub(super) fn record(&mut self, record: &Record) -> bool {
        let Some(entry) = self.held(record.lease) else { return false };
        if entry.last_write.replace(record.write) == Some(record.write) {
            return true; // repeated, because its answer was lost
        }
        record.results.iter().for_each(|result| entry.store(result, record.attempt));
        entry.run.progress = record.progress.or(entry.run.progress);
        let first_event = entry.events.len() as u32;
        for (kind, data) in record.events() {
            self.append(record.lease.run, kind, data);
        }
        if let Some(ending) = &record.ending {
            self.end(record.lease.run, ending);
        }
        for message in &record.messages {
            self.post(record.lease.run, first_event + message.number, message.phase, &message.body);
        }
        true
    }

    /// Takes back one run whose lease ended.
    pub(super) fn reap(&mut self, id: RunId) {
        let Some(entry) = self.runs.get_mut(&id) else { return };
        let attempt = Some(entry.run.attempt);
        if entry.run.cancel_requested {
            self.end(id, &Ending::Cancelled);
            self.append(id, EventKind::Cancelled, EventData { attempt, ..EventData::default() });
            self.post_end_of_unheld(id, &Ending::Cancelled);
            return;
        }
        let Failure { code, message } = Failure::new(LEASE_LOST.0, LEASE_LOST.1);
        let data = EventData { attempt, code: Some(code), message: Some(message), ..EventData::default() };
        if entry.run.attempt >= entry.last_attempt {
            let ending = Ending::Failed(Failure::new(LEASE_LOST.0, LEASE_LOST.1));
            self.end(id, &ending);
            self.append(id, EventKind::Failed, data);
            self.post_end_of_unheld(id, &ending);
        } else {
            entry.give_back(None);
            self.append(id, EventKind::Requeued, data);
        }
    }
}

/// The time, as exact as PostgreSQL keeps it.
pub(super) fn now() -> DateTime<Utc> {
    exact(Utc::now())
}

fn exact(time: DateTime<Utc>) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(time.timestamp_micros()).unwrap_or(time)
}
