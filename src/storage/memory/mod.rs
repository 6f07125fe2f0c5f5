//! Runs in memory: nothing to install, the whole API works, nothing survives the process.
//!
//! Bounded: the oldest finished runs are forgotten when there are too many; when all are unfinished, submissions are
//! refused.

mod outbox;
mod state;

use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use state::{State, now};

use crate::ids::{LeaseId, RunId};
use crate::runs::hints::{Hint, Hints};
use crate::runs::model::{
    Claimed, Ending, EventData, EventKind, Failure, FinishedRun, Lease, NewRun, Record, Run, RunEvent,
    RunStatus, StoredResult, Submitted, TargetKind,
};
use crate::runs::store::{
    Deletion, FeedEvent, FeedPage, FeedPosition, Held, Result, ResultFilter, Retried, RunFilter, RunStore,
    SHUTDOWN, Scan,
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

    /// Changes the state, then tells of the events and messages that were added.
    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let (value, changed, has_posted) = {
            let mut state = self.state();
            let value = change(&mut state);
            (value, std::mem::take(&mut state.changed), std::mem::take(&mut state.has_posted))
        };
        if !changed.is_empty() {
            self.hints.send(Hint::Events(Arc::new(changed)));
        }
        if has_posted {
            self.hints.send(Hint::Deliveries);
        }
        value
    }
}

fn fits(run: &Run, filter: &RunFilter) -> bool {
    let has_label = |(key, value): &(String, String)| run.labels.get(key) == Some(value);
    let agents = run.summary.iter().flat_map(|summary| &summary.agents);
    (filter.statuses.is_empty() || filter.statuses.contains(&run.status))
        && (filter.verdicts.is_empty()
            || run.verdict.is_some_and(|verdict| filter.verdicts.contains(&verdict)))
        && filter.labels.iter().all(has_label)
        && (filter.eval_set_ids.is_empty()
            || run.eval_set_id.as_ref().is_some_and(|id| filter.eval_set_ids.contains(id)))
        && (filter.target_kinds.is_empty() || filter.target_kinds.contains(&run.target_kind))
        && (filter.agents.is_empty() || agents.into_iter().any(|agent| filter.agents.contains(agent)))
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

    async fn record_finished(&self, finished: &FinishedRun) -> Result<()> {
        self.change(|state| state.record_finished(finished, self.limits))
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
                && (filter.eval_cases.is_empty()
                    || record.eval_case_id.as_ref().is_some_and(|case| filter.eval_cases.contains(case)))
        };
        let results = entry.results.range((start, Bound::Unbounded)).map(|(_, result)| result);
        Ok(results.filter(fits).take(filter.limit).cloned().collect())
    }

    async fn cancel(&self, id: RunId) -> Result<Option<Run>> {
        let run = self.change(|state| {
            let entry = state.runs.get_mut(&id)?;
            let attempt = Some(entry.run.attempt);
            match entry.run.status {
                RunStatus::Running => entry.run.cancel_requested = true,
                RunStatus::Queued => {
                    state.end(id, &Ending::Cancelled);
                    state.append(id, EventKind::Cancelled, EventData { attempt, ..EventData::default() });
                    state.post_end_of_unheld(id, &Ending::Cancelled);
                }
                RunStatus::Succeeded | RunStatus::Failed | RunStatus::Cancelled => {}
            }
            state.runs.get(&id).map(|entry| entry.run.clone())
        });
        if run.as_ref().is_some_and(|run| run.status == RunStatus::Running) {
            self.hints.send(Hint::Cancel(id));
        }
        Ok(run)
    }

    async fn retry(&self, id: RunId) -> Result<Option<Retried>> {
        let retried = self.change(|state| {
            let entry = state.runs.get_mut(&id)?;
            let run = &mut entry.run;
            let is_over_for_good = run.target_kind == TargetKind::Uploaded;
            if is_over_for_good || !matches!(run.status, RunStatus::Failed | RunStatus::Cancelled) {
                return Some(Retried::Refused(run.clone()));
            }
            entry.last_attempt = run.attempt + run.max_attempts;
            (run.status, run.failure, run.finished_at) = (RunStatus::Queued, None, None);
            run.cancel_requested = false;
            let run = run.clone();
            state.enqueue(id);
            Some(Retried::Queued(run))
        });
        self.hints.send(Hint::Due(Duration::ZERO));
        Ok(retried)
    }

    async fn delete(&self, id: RunId) -> Result<Option<Deletion>> {
        Ok(self.change(|state| {
            let status = state.runs.get(&id)?.run.status;
            if !status.is_terminal() {
                return Some(Deletion::Refused(status));
            }
            state.delete(id);
            Some(Deletion::Done)
        }))
    }

    async fn purge(&self, age: Duration, limit: usize) -> Result<usize> {
        let Some(end) = chrono::Duration::from_std(age).ok().and_then(|age| now().checked_sub_signed(age))
        else {
            return Ok(0);
        };
        Ok(self.change(|state| {
            let is_old = |id: &RunId| {
                let entry = state.runs.get(id);
                entry.is_some_and(|entry| entry.run.finished_at.is_some_and(|at| at < end))
                    && !state.has_messages(*id)
            };
            let old: Vec<_> = state.by_age.iter().map(|(_, id)| *id).filter(is_old).take(limit).collect();
            old.iter().for_each(|id| state.delete(*id));
            old.len()
        }))
    }

    async fn missing(&self, runs: &[RunId]) -> Result<Vec<RunId>> {
        let state = self.state();
        Ok(runs.iter().filter(|run| !state.runs.contains_key(run)).copied().collect())
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
                (run.status, run.worker) = (RunStatus::Running, Some(worker.to_owned()));
                run.attempt += 1;
                run.started_at.get_or_insert_with(self::now);
                let claimed = Claimed {
                    lease: Lease { run: id, id: lease_id },
                    attempt: run.attempt,
                    max_attempts: entry.last_attempt,
                    deadline: run.deadline,
                    spec: entry.spec.clone(),
                    has_sinks: !entry.sinks.is_empty(),
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
        self.change(|state| records.iter().map(|record| state.record(record)).collect())
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
                let (attempt, code) = (Some(entry.run.attempt), Some(SHUTDOWN.0.to_owned()));
                let message = Some(SHUTDOWN.1.to_owned());
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
        // Not the last event there is: later ones may have been forgotten with their runs.
        Ok(FeedPosition { transaction: self.state().feed_length + 1, ..FeedPosition::START })
    }

    async fn check(&self) -> Result<()> {
        Ok(())
    }
}
