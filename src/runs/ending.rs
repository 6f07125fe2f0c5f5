//! How a run ends.

use super::event::{EventData, EventKind};
use super::model::{Failure, RunStatus};
use super::result::Summary;
use crate::evaluation::Verdict;

/// How a claimed run ended.
#[derive(Debug, Clone)]
pub enum Ending {
    /// Evaluated.
    Succeeded {
        /// What the agent's behaviour was worth.
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
    /// The status it leads to.
    pub fn status(&self) -> RunStatus {
        match self {
            Self::Succeeded { .. } => RunStatus::Succeeded,
            Self::Failed(_) => RunStatus::Failed,
            Self::Cancelled => RunStatus::Cancelled,
        }
    }

    /// The event that tells of it, of an attempt.
    pub fn event(&self, attempt: u32) -> (EventKind, EventData) {
        let data = EventData { attempt: Some(attempt), ..EventData::default() };
        match self {
            Self::Succeeded { verdict, .. } => {
                (EventKind::Succeeded, EventData { verdict: Some(*verdict), ..data })
            }
            Self::Failed(Failure { code, message }) => {
                let (code, message) = (Some(code.clone()), Some(message.clone()));
                (EventKind::Failed, EventData { code, message, ..data })
            }
            Self::Cancelled => (EventKind::Cancelled, data),
        }
    }
}
