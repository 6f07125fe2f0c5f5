//! The end of a run: succeeded, failed or cancelled.

use super::event::{EventData, EventKind};
use super::model::{Failure, RunStatus};
use super::result::Summary;
use crate::evaluation::Verdict;

/// The end of a run.
#[derive(Debug, Clone)]
pub enum Ending {
    /// Evaluated.
    Succeeded {
        /// Whether the agent passed.
        verdict: Verdict,
        /// Counts and averages.
        summary: Box<Summary>,
    },
    /// Could not be evaluated.
    Failed(Failure),
    /// Stopped on request.
    Cancelled,
}

impl Ending {
    /// The status of a run that ended like this.
    pub fn status(&self) -> RunStatus {
        match self {
            Self::Succeeded { .. } => RunStatus::Succeeded,
            Self::Failed(_) => RunStatus::Failed,
            Self::Cancelled => RunStatus::Cancelled,
        }
    }

    /// The event of an attempt that ended like this.
    pub fn event(&self, attempt: u32) -> (EventKind, EventData) {
        let data = EventData { attempt: Some(attempt), ..EventData::default() };
        match self {
            Self::Succeeded { verdict, .. } => {
                (EventKind::Succeeded, EventData { verdict: Some(*verdict), ..data })
            }
            Self::Failed(failure) => (EventKind::Failed, EventData::failure(attempt, failure)),
            Self::Cancelled => (EventKind::Cancelled, data),
        }
    }
}
