//! A run that was evaluated without waiting in the queue, and the port that stores it.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;

use crate::ids::RunId;
use crate::runs::{Ending, EventData, EventKind, ResultDigest, ResultRecord, StoreResult};
use crate::spec::{SpecDigest, Submission, TargetKind};

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
        let created = self.results.iter().map(|result| ResultDigest::created(self.id, result));
        std::iter::once(started).chain(created).chain([self.ending.event(Self::ATTEMPT)]).collect()
    }

    /// What it would have been as a submission.
    pub fn submission(&self) -> Submission {
        Submission {
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

/// Storage for runs that are over when they are stored.
#[async_trait]
pub trait FinishedRuns: Send + Sync {
    /// Stores a run with its results and events, all or nothing; a second time it does nothing. Nobody can ever claim
    /// it.
    async fn record_finished(&self, finished: &FinishedRun) -> StoreResult<()>;
}
