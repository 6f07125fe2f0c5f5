//! The queue in memory.

use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use super::state::{State, now};
use super::store::MemoryStore;
use crate::ids::{LeaseId, RunId};
use crate::queue::{Claimed, Held, Lease, PreparedRecord, Queue, SHUTDOWN, Scan};
use crate::runs::{EventData, EventKind, Failure, Hint, RunStatus, StoreResult};

impl State {
    fn claim(&mut self, id: RunId, worker: &str, until: Instant) -> Option<Claimed> {
        let entry = self.runs.get_mut(&id)?;
        let lease = Lease { run: id, id: LeaseId::new_random() };
        (entry.lease, entry.lease_until) = (Some(lease.id), Some(until));
        let run = &mut entry.run;
        (run.status, run.worker) = (RunStatus::Running, Some(worker.to_owned()));
        run.attempt += 1;
        run.started_at.get_or_insert_with(now);
        let claimed = Claimed {
            lease,
            attempt: run.attempt,
            max_attempts: entry.last_attempt,
            deadline: run.deadline,
            spec: entry.spec.clone(),
            has_sinks: !entry.sinks.is_empty(),
        };
        let (attempt, worker_id) = (Some(run.attempt), Some(worker.to_owned()));
        self.append(id, EventKind::Started, EventData { attempt, worker_id, ..EventData::default() });
        Some(claimed)
    }
}

#[async_trait]
impl Queue for MemoryStore {
    async fn claim(&self, worker: &str, limit: usize, lease: Duration) -> StoreResult<Vec<Claimed>> {
        let now = Instant::now();
        Ok(self.change(|state| {
            let is_due = |id: &RunId| state.runs.get(id).is_some_and(|entry| entry.is_due(now));
            let due: Vec<_> = state.queue.values().copied().filter(is_due).take(limit).collect();
            due.into_iter().filter_map(|id| state.claim(id, worker, now + lease)).collect()
        }))
    }

    async fn heartbeat(&self, leases: &[Lease], lease: Duration) -> StoreResult<Vec<Held>> {
        let until = Instant::now() + lease;
        let mut state = self.state();
        let extend = |lease: &Lease| {
            let entry = state.held(*lease)?;
            entry.lease_until = Some(until);
            Some(Held { lease: *lease, cancel_requested: entry.run.cancel_requested })
        };
        Ok(leases.iter().filter_map(extend).collect())
    }

    async fn record(&self, records: &[PreparedRecord<'_>]) -> StoreResult<Vec<bool>> {
        Ok(self.change(|state| records.iter().map(|record| state.record(record)).collect()))
    }

    async fn requeue(&self, lease: Lease, reason: &Failure, delay: Duration) -> StoreResult<bool> {
        let is_requeued = self.change(|state| {
            let Some(entry) = state.held(lease).filter(|entry| !entry.run.cancel_requested) else {
                return false;
            };
            entry.give_back(Some(Instant::now() + delay));
            let data = EventData::failure(entry.run.attempt, reason);
            state.append(lease.run, EventKind::Requeued, data);
            true
        });
        self.hints.send(Hint::Due(delay));
        Ok(is_requeued)
    }

    async fn release(&self, leases: &[Lease]) -> StoreResult<()> {
        let reason = Failure::new(SHUTDOWN.0, SHUTDOWN.1);
        self.change(|state| {
            for lease in leases {
                let Some(entry) = state.held(*lease).filter(|entry| !entry.run.cancel_requested) else {
                    continue;
                };
                entry.give_back(None);
                entry.run.attempt -= 1;
                entry.results.clear(); // the next attempt has the same number, so they would pass for its own
                let data = EventData::failure(entry.run.attempt, &reason);
                state.append(lease.run, EventKind::Requeued, data);
            }
        });
        self.hints.send(Hint::Due(Duration::ZERO));
        Ok(())
    }

    async fn reap(&self) -> StoreResult<usize> {
        let now = Instant::now();
        let reaped = self.change(|state| {
            let is_lost = |id: &RunId| state.runs.get(id).is_some_and(|entry| entry.is_lost(now));
            let lost: Vec<_> = state.queue.values().copied().filter(is_lost).collect();
            lost.iter().for_each(|id| state.reap(*id));
            lost.len()
        });
        self.hints.send(Hint::Due(Duration::ZERO));
        Ok(reaped)
    }

    async fn scan(&self) -> StoreResult<Scan> {
        let (now, state) = (Instant::now(), self.state());
        let entries = || state.queue.values().filter_map(|id| state.runs.get(id));
        let waiting = entries().filter_map(|entry| entry.lease_until).filter(|until| *until > now);
        Ok(Scan {
            has_due: entries().any(|entry| entry.is_due(now)),
            has_lost: entries().any(|entry| entry.is_lost(now)),
            next_due: waiting.min().map(|until| until - now),
        })
    }
}
