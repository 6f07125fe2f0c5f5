//! Results of an attempt that are not stored yet.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use uuid::Uuid;

use super::execution::UnitResults;
use super::model::{Claimed, Record};
use crate::runs::{Progress, ResultRecord};

/// Collects the results of an attempt until they are written.
#[derive(Debug, Default)]
pub(super) struct Collector(Mutex<Unsaved>);

/// Results that are not stored yet.
#[derive(Debug, Default)]
pub(super) struct Unsaved {
    progress: Option<Progress>,
    results: Vec<ResultRecord>,
    /// Places of the results that were taken before, to be stored.
    taken: HashSet<u32>,
}

impl Collector {
    /// Adds the results of a finished unit.
    pub(super) fn add(&self, unit: UnitResults) {
        let mut unsaved = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        unsaved.progress = Some(unit.progress);
        unsaved.results.extend(unit.results);
    }

    /// Takes the results added since the last call, if there are any.
    pub(super) fn take_new(&self) -> Option<Unsaved> {
        let mut unsaved = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let progress = unsaved.progress?;
        if unsaved.results.is_empty() {
            return None;
        }
        let results = std::mem::take(&mut unsaved.results);
        unsaved.taken.extend(results.iter().map(|result| result.ordinal));
        Some(Unsaved { progress: Some(progress), results, taken: HashSet::new() })
    }

    /// Takes the rest at the end of the attempt.
    pub(super) fn take_rest(&self) -> Unsaved {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Unsaved {
    /// Of all results of the run, those that were not taken before.
    pub(super) fn with_all(self, results: Vec<ResultRecord>) -> Self {
        let is_new = |result: &ResultRecord| !self.taken.contains(&result.ordinal);
        Self { results: results.into_iter().filter(is_new).collect(), ..self }
    }

    /// A record that writes these results; the run goes on.
    pub(super) fn into_record(self, claimed: &Claimed) -> Record {
        Record {
            lease: claimed.lease,
            write: Uuid::new_v4(),
            attempt: claimed.attempt,
            progress: self.progress,
            results: self.results,
            ending: None,
            has_sinks: claimed.has_sinks,
        }
    }
}
