//! Runs that were evaluated outside the queue, and the port [`FinishedRuns`] that stores them.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;

use crate::ids::RunId;
use crate::runs::{Ending, EventData, EventKind, ResultDigest, ResultRecord, StoreResult};
use crate::spec::{SpecDigest, Submission, TargetKind};

/// A run of uploaded traces, which is stored when it is over.
#[derive(Debug, Clone)]
pub struct FinishedRun {
    /// Its id, a new one.
    pub id: RunId,
    /// The specification as JSON text: the upload without its traces.
    pub spec: String,
    /// Digest of the canonical form of the specification.
    pub digest: SpecDigest,
    /// Longest duration of its evaluation, whole seconds.
    pub deadline: Duration,
    /// Id of the eval set that it was compared with.
    pub eval_set_id: Option<String>,
    /// Name for the endpoint that evaluated it.
    pub worker: String,
    /// Duration of its evaluation.
    pub elapsed: Duration,
    /// All results.
    pub results: Vec<ResultRecord>,
    /// Its end.
    pub ending: Ending,
}

impl FinishedRun {
    /// Number of its only attempt.
    pub const ATTEMPT: u32 = 1;

    /// Its events, in order: the start, one per result, the end.
    pub fn events(&self) -> Vec<(EventKind, EventData)> {
        let (attempt, worker_id) = (Some(Self::ATTEMPT), Some(self.worker.clone()));
        let started = (EventKind::Started, EventData { attempt, worker_id, ..EventData::default() });
        let created = self.results.iter().map(|result| ResultDigest::created(self.id, result));
        std::iter::once(started).chain(created).chain([self.ending.event(Self::ATTEMPT)]).collect()
    }

    /// The submission that would have made this run.
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

/// Storage for finished runs.
#[async_trait]
pub trait FinishedRuns: Send + Sync {
    /// Stores a run with its results and events in one transaction; repeating the call changes nothing. The run never
    /// enters the queue.
    async fn record_finished(&self, finished: &FinishedRun) -> StoreResult<()>;
}
