//! A claimed run: its lease, and the records that a worker writes under it.

use std::time::Duration;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::ids::{LeaseId, RunId};
use crate::outbox::NewMessage;
use crate::runs::{Ending, EventData, EventKind, Progress, ResultDigest, ResultRecord};

/// The lease under which a worker executes a run; every write names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Lease {
    /// The run.
    pub run: RunId,
    /// Random; each claim makes a new one.
    pub id: LeaseId,
}

/// A run that a worker has just claimed.
#[derive(Debug, Clone)]
pub struct Claimed {
    /// The lease.
    pub lease: Lease,
    /// Number of this attempt, from 1.
    pub attempt: u32,
    /// Number of the last attempt that the run may have.
    pub max_attempts: u32,
    /// Longest duration of the attempt.
    pub deadline: Duration,
    /// The specification as JSON text.
    pub spec: String,
    /// Whether the run has sinks.
    pub has_sinks: bool,
}

/// News of a claimed run for storage, written under its lease: results, progress, the end.
#[derive(Debug, Clone)]
pub struct Record {
    /// The lease.
    pub lease: Lease,
    /// Random; by it storage recognises a write that is repeated because its answer was lost.
    pub write: Uuid,
    /// Number of the attempt; its results replace those of earlier ones.
    pub attempt: u32,
    /// Progress of the attempt; `None` if it has not changed.
    pub progress: Option<Progress>,
    /// Results not written before.
    pub results: Vec<ResultRecord>,
    /// The end of the run; `None` while it goes on.
    pub ending: Option<Ending>,
    /// Whether the run has sinks.
    pub has_sinks: bool,
}

impl Record {
    /// Adds a later record of the same lease, so that both are written as one.
    pub(crate) fn extend(&mut self, later: Self) {
        self.progress = later.progress.or(self.progress);
        self.results.extend(later.results);
        self.ending = later.ending.or(self.ending.take());
    }

    /// The events of this record, in order: one per result, then progress or the end.
    pub fn events(&self) -> Vec<(EventKind, EventData)> {
        let created = self.results.iter().map(|result| ResultDigest::created(self.lease.run, result));
        let mut events: Vec<_> = created.collect();
        if let (Some(progress), None) = (self.progress, &self.ending) {
            events
                .push((EventKind::Progress, EventData { progress: Some(progress), ..EventData::default() }));
        }
        events.extend(self.ending.as_ref().map(|ending| ending.event(self.attempt)));
        events
    }
}

/// A record with the messages that tell the run's sinks of it; storage takes nothing else.
#[derive(Debug)]
pub struct PreparedRecord<'r> {
    record: &'r Record,
    messages: Vec<NewMessage>,
}

impl<'r> PreparedRecord<'r> {
    /// Makes the messages: one about new results, then one about the end; none for a run without sinks.
    ///
    /// # Errors
    /// A result cannot be written as JSON.
    pub fn new(record: &'r Record, at: DateTime<Utc>) -> anyhow::Result<Self> {
        let mut messages = Vec::new();
        if record.has_sinks {
            let (run, attempt) = (record.lease.run, record.attempt);
            // A message has the number of its last event: the record's events are one per result, then the end.
            let results = record.results.len() as u32;
            if results > 0 {
                messages.push(NewMessage::of_results(results, run, attempt, &record.results, at)?);
            }
            if let Some(ending) = &record.ending {
                messages.push(NewMessage::of_ending(results + 1, run, attempt, ending)?);
            }
        }
        Ok(Self { record, messages })
    }

    /// The record.
    pub fn record(&self) -> &'r Record {
        self.record
    }

    /// The messages, in the order of their events.
    pub fn messages(&self) -> &[NewMessage] {
        &self.messages
    }
}
