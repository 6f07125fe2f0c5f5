//! The port to whatever executes a claimed run.

use std::sync::Arc;

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use super::model::{Claimed, Failure, Progress, ResultRecord, Summary, Verdict};

/// A run that was evaluated.
#[derive(Debug, Clone)]
pub struct Evaluated {
    /// What the agent's behaviour was worth.
    pub verdict: Verdict,
    /// Counts and averages.
    pub summary: Summary,
    /// All results, those that the observer was told of included.
    pub results: Vec<ResultRecord>,
}

/// Why a run was not evaluated.
#[derive(Debug, Clone)]
pub enum ExecutionError {
    /// It failed.
    Failed {
        /// Why.
        failure: Failure,
        /// Whether it may succeed later.
        is_transient: bool,
    },
    /// The token was cancelled.
    Cancelled,
}

/// Is told of results while a run is executed.
pub trait Observer: Send + Sync {
    /// Takes the results of a unit that is done; may be called from several threads.
    fn unit_done(&self, progress: Progress, results: Vec<ResultRecord>);
}

/// Executes claimed runs.
#[async_trait]
pub trait Executor: Send + Sync {
    /// Executes a run to its end, or until the token is cancelled.
    async fn execute(
        &self,
        claimed: &Claimed,
        observer: Arc<dyn Observer>,
        cancel: CancellationToken,
    ) -> Result<Evaluated, ExecutionError>;
}
