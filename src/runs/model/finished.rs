//! A run that was evaluated without waiting in the queue.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Ending, EventData, EventKind, NewRun, ResultRecord, SpecDigest, TargetKind};
use crate::ids::RunId;

/// A run of uploaded traces, evaluated while its submitter waited; it is stored when it is over.
#[derive(Debug, Clone)]
pub struct FinishedRun {
    /// Its id, a new one.
    pub id: RunId,
    /// The specification as JSON text; says what was uploaded, without the traces.
    pub spec: String,
    /// Digest of the canonical form of the specification.
    pub digest: SpecDigest,
    /// How long it might have taken, whole seconds.
    pub deadline: Duration,
    /// Id of the golden that it was compared with.
    pub eval_set_id: Option<String>,
    /// Who evaluated it.
    pub worker: String,
    /// How long that took, until now.
    pub elapsed: Duration,
    /// All results.
    pub results: Vec<ResultRecord>,
    /// How it ended.
    pub ending: Ending,
}

impl FinishedRun {
    /// How often it was taken up: once, and never again.
    pub const ATTEMPT: u32 = 1;

    /// Everything that happened to it, in order: the start, one event per result, the end.
    pub fn events(&self) -> Vec<(EventKind, EventData)> {
        let (attempt, worker_id) = (Some(Self::ATTEMPT), Some(self.worker.clone()));
        let started = (EventKind::Started, EventData { attempt, worker_id, ..EventData::default() });
        let created = self.results.iter().map(|result| result.created(self.id));
        std::iter::once(started).chain(created).chain([self.ending.event(Self::ATTEMPT)]).collect()
    }

    /// What it would have been as a submission.
    pub fn submission(&self) -> NewRun {
        NewRun {
            id: self.id,
            is_id_chosen: false,
            idempotency_key: None,
            spec: self.spec.clone(),
            digest: self.digest,
            priority: 0,
            deadline: self.deadline,
            max_attempts: Self::ATTEMPT,
            labels: BTreeMap::new(),
            target_kind: TargetKind::Uploaded,
            eval_set_id: self.eval_set_id.clone(),
            sinks: Vec::new(),
        }
    }
}
