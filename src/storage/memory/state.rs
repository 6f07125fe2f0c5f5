//! The data of storage in memory, and the changes that keep it consistent.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::{DateTime, Utc};
use tokio::time::Instant;
use uuid::Uuid;

use super::limits::MemoryLimits;
use crate::ids::{LeaseId, RunId};
use crate::outbox::{MessageState, Phase};
use crate::queue::{LEASE_LOST, Lease, PreparedRecord};
use crate::runs::{
    Ending, EventData, EventKind, Failure, FeedPosition, ResultRecord, Run, RunEvent, RunStatus, StoreError,
    StoreResult, StoredResult, Submitted, Summary,
};
use crate::spec::{SpecDigest, StoredSink, Submission};
use crate::uploads::FinishedRun;

/// All runs, the queue, the feed and the line of pending messages.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) runs: HashMap<RunId, Entry>,
    pub(super) by_key: HashMap<String, RunId>,
    pub(super) by_age: BTreeSet<(DateTime<Utc>, RunId)>,
    pub(super) queue: BTreeMap<QueueKey, RunId>,
    /// Number of times that any run was queued; orders runs of one priority.
    pub(super) queued: u64,
    pub(super) spec_bytes: usize,
    /// Positions of the events of all runs, in the order in which they happened.
    pub(super) feed: BTreeSet<FeedPosition>,
    /// Number of events ever added to the feed, those of deleted runs included.
    pub(super) feed_length: u64,
    /// Runs with events since the last [`Hint::Events`](crate::runs::Hint::Events).
    pub(super) changed: BTreeSet<RunId>,
    /// Pending messages.
    pub(super) in_line: BTreeSet<InLine>,
    /// Whether messages were added since the last [`Hint::Messages`](crate::runs::Hint::Messages).
    pub(super) has_posted: bool,
}

/// Claim order: minus the priority, then age.
pub(super) type QueueKey = (i16, u64);

/// A run with its specification, place in the queue, events, results and messages.
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
    /// Number of the attempt after which a lost lease or a transient failure fails the run; grows with each retry.
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
    /// When the lease or the wait ends; `None` is long ago.
    pub(super) due_at: Option<Instant>,
    pub(super) lease: Option<LeaseId>,
    pub(super) last_status: Option<u16>,
    pub(super) last_error: Option<String>,
    pub(super) created_at: DateTime<Utc>,
    pub(super) settled_at: Option<DateTime<Utc>>,
}

/// Run, sink and event of a pending message; the first one of a run and sink can be claimed.
pub(super) type InLine = (RunId, u16, u32);

impl Entry {
    fn is_free(&self, now: Instant) -> bool {
        self.lease_until.is_none_or(|until| until <= now)
    }

    /// Whether the run can be claimed.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.lease.is_none() && self.is_free(now)
    }

    /// Whether the lease has ended before the run did.
    pub(super) fn is_lost(&self, now: Instant) -> bool {
        self.lease.is_some() && self.is_free(now)
    }

    /// Stores a result of an attempt.
    fn store(&mut self, result: &ResultRecord, attempt: u32) {
        let stored = StoredResult { record: result.clone(), attempt, created_at: now() };
        self.results.insert(result.ordinal, stored);
    }

    /// Ends the lease; the run can be claimed again after `until`.
    pub(super) fn give_back(&mut self, until: Option<Instant>) {
        (self.lease, self.lease_until) = (None, until);
        (self.run.status, self.run.worker, self.run.progress) = (RunStatus::Queued, None, None);
    }
}

impl State {
    /// The run of a lease that is still held.
    pub(super) fn held(&mut self, lease: Lease) -> Option<&mut Entry> {
        self.runs.get_mut(&lease.run).filter(|entry| entry.lease == Some(lease.id))
    }

    /// Adds an event to a run and to the feed.
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

    /// Queues a run, behind the others of its priority.
    pub(super) fn enqueue(&mut self, id: RunId) {
        self.queued += 1;
        let Some(entry) = self.runs.get_mut(&id) else { return };
        entry.queue_key = (-entry.run.priority, self.queued);
        self.queue.insert(entry.queue_key, id);
        self.append(id, EventKind::Queued, EventData::default());
    }

    /// Ends a run; it keeps only the results of its last attempt.
    fn end(&mut self, id: RunId, ending: &Ending) {
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

    /// The answer to a submission whose id or key belongs to a stored run.
    fn existing(&self, new: &Submission) -> Option<Submitted> {
        let by_key = || self.by_key.get(new.idempotency_key.as_ref()?).and_then(|id| self.runs.get(id));
        let entry = self.runs.get(&new.id).or_else(by_key)?;
        Some(Submitted::again(new, entry.run.clone(), &entry.digest))
    }

    /// Deletes the oldest finished runs until a new one fits.
    fn make_room(&mut self, limits: MemoryLimits, bytes: usize) -> StoreResult<()> {
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

    /// Whether a run has pending messages.
    pub(super) fn has_messages(&self, run: RunId) -> bool {
        self.in_line.range((run, 0, 0)..=(run, u16::MAX, u32::MAX)).next().is_some()
    }

    /// Deletes a run and hints to its watchers.
    pub(super) fn delete(&mut self, id: RunId) {
        self.forget(id);
        self.changed.insert(id);
    }

    /// Removes all rows of a run.
    fn forget(&mut self, id: RunId) {
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

    fn insert(&mut self, new: &Submission) -> Run {
        let run = self.keep(new, now());
        self.enqueue(new.id);
        run
    }

    /// Stores a finished run; repeating the call changes nothing.
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

    /// Stores a new run without queueing it.
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

    /// Writes a record; returns whether its lease is still held.
    pub(super) fn record(&mut self, prepared: &PreparedRecord<'_>) -> bool {
        let record = prepared.record();
        let Some(entry) = self.held(record.lease) else { return false };
        if entry.last_write.replace(record.write) == Some(record.write) {
            return true; // a repeated write whose answer was lost
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
        for message in prepared.messages() {
            self.post(record.lease.run, first_event + message.number, message.phase, &message.body);
        }
        true
    }

    /// Takes back a run whose lease has ended: cancelled, failed or queued again.
    pub(super) fn reap(&mut self, id: RunId) {
        let Some(entry) = self.runs.get_mut(&id) else { return };
        let lost = Failure::new(LEASE_LOST.0, LEASE_LOST.1);
        if entry.run.cancel_requested {
            self.end_without_worker(id, &Ending::Cancelled);
        } else if entry.run.attempt >= entry.last_attempt {
            self.end_without_worker(id, &Ending::Failed(lost));
        } else {
            entry.give_back(None);
            let data = EventData::failure(entry.run.attempt, &lost);
            self.append(id, EventKind::Requeued, data);
        }
    }

    /// Ends a run that no worker executes, with its event and the messages to its sinks.
    pub(super) fn end_without_worker(&mut self, id: RunId, ending: &Ending) {
        let Some(entry) = self.runs.get(&id) else { return };
        let (kind, data) = ending.event(entry.run.attempt);
        self.end(id, ending);
        self.append(id, kind, data);
        self.post_end(id, ending);
    }
}

/// The time in microseconds, the precision of PostgreSQL.
pub(super) fn now() -> DateTime<Utc> {
    exact(Utc::now())
}

fn exact(time: DateTime<Utc>) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(time.timestamp_micros()).unwrap_or(time)
}
