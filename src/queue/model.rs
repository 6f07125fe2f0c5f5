//! A run in the hands of a worker.

use std::time::Duration;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::ids::{LeaseId, RunId};
use crate::outbox::NewMessage;
use crate::runs::{Ending, EventData, EventKind, Progress, ResultDigest, ResultRecord};

/// The claim on a run that a worker holds; every write names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Lease {
    /// The run.
    pub run: RunId,
    /// The claim.
    pub id: LeaseId,
}

/// A run that a worker has just claimed.
#[derive(Debug, Clone)]
pub struct Claimed {
    /// The claim.
    pub lease: Lease,
    /// Which attempt this is, from 1.
    pub attempt: u32,
    /// How many there may be.
    pub max_attempts: u32,
    /// How long it may take.
    pub deadline: Duration,
    /// The specification as JSON text.
    pub spec: String,
    /// Whether there are sinks to be told of it.
    pub has_sinks: bool,
}

/// Something a worker has to write about a run it holds; fenced by the lease.
#[derive(Debug, Clone)]
pub struct Record {
    /// The claim under which it is written.
    pub lease: Lease,
    /// Tells a write from its repetition after an answer that was lost; random.
    pub write: Uuid,
    /// Which attempt it is; results of earlier ones are replaced.
    pub attempt: u32,
    /// How far it has come.
    pub progress: Option<Progress>,
    /// Results not written before.
    pub results: Vec<ResultRecord>,
    /// How it ended, if it has.
    pub ending: Option<Ending>,
    /// Whether the run has sinks.
    pub has_sinks: bool,
    /// What its sinks are told of this; see [`Self::add_messages`].
    pub messages: Vec<NewMessage>,
}

impl Record {
    /// Takes up what was written later under the same claim.
    pub(crate) fn extend(&mut self, later: Self) {
        self.progress = later.progress.or(self.progress);
        self.results.extend(later.results);
        self.ending = later.ending.or(self.ending.take());
    }

    /// Adds the messages that tell sinks of it: new results, then the end. None, for a run without sinks.
    ///
    /// # Errors
    /// A result cannot be written as JSON.
    pub fn add_messages(&mut self, at: DateTime<Utc>) -> anyhow::Result<()> {
        if !self.has_sinks {
            return Ok(());
        }
        let (run, attempt) = (self.lease.run, self.attempt);
        let results = self.results.len() as u32;
        // In the order of the events: one per result, then the end.
        self.messages = Vec::new();
        if results > 0 {
            self.messages.push(NewMessage::of_results(results, run, attempt, &self.results, at)?);
        }
        if let Some(ending) = &self.ending {
            self.messages.push(NewMessage::of_ending(results + 1, run, attempt, ending)?);
        }
        Ok(())
    }

    /// The events that writing this record adds, in order: one per result, progress, the end.
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
