//! Executes a claimed run: loads or fetches its traces and evaluates them, on the code path of `run` and uploads.
//!
//! [`Executor`] is the port of attempts, [`Evaluation`] its implementation; tests of workers use others.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::model::Claimed;
use crate::credentials::Credentials;
use crate::evaluation::config::CodeRule;
use crate::evaluation::{Observer, UnitPlace, UnitReport};
use crate::evaluators::{CodePolicy, EvaluationInput};
use crate::ids::RunId;
use crate::json::repaired;
use crate::net::Outbound;
use crate::runs::{Failure, Progress, Recorder, ResultRecord, Summary, Verdict, summarise};
use crate::sources::{BAD_TRACE, FetchError, FetchLimits, Fetcher, Unusable, inline_document, load_document};
use crate::spec::{RunSpec, RunTarget, SpecRules};
use crate::trace::Document;

/// The outcome of an evaluated run.
#[derive(Debug, Clone)]
pub struct ExecutedRun {
    /// Whether the agent passed.
    pub verdict: Verdict,
    /// Counts and averages.
    pub summary: Summary,
    /// All results by place, including those that the observer got.
    pub results: Vec<ResultRecord>,
    /// Number of evaluation units.
    pub total: u32,
}

/// The results of a finished evaluation unit.
#[derive(Debug, Clone)]
pub struct UnitResults {
    /// One per metric.
    pub results: Vec<ResultRecord>,
    /// Progress of the run, this unit included.
    pub progress: Progress,
}

/// Why a run was not evaluated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExecutionError {
    /// Another attempt would fail in the same way.
    #[error("{}", .0.message)]
    Permanent(Failure),
    /// Another attempt may succeed.
    #[error("{}", failure.message)]
    Transient {
        /// Why.
        failure: Failure,
        /// Shortest wait before the next attempt, as the source of the traces asked for it.
        retry_after: Option<Duration>,
    },
    /// The attempt was stopped.
    #[error("the run was cancelled")]
    Cancelled,
}

impl ExecutionError {
    pub(super) fn permanent(code: &str, message: impl Into<String>) -> Self {
        Self::Permanent(Failure::new(code, message))
    }
}

impl From<FetchError> for ExecutionError {
    fn from(FetchError { code, message, is_transient, retry_after }: FetchError) -> Self {
        let failure = Failure::new(code, message);
        match is_transient {
            true => Self::Transient { failure, retry_after },
            false => Self::Permanent(failure),
        }
    }
}

/// Evaluates claimed runs.
#[async_trait]
pub trait Executor: Send + Sync {
    /// Evaluates a run; `observer` gets the results of each unit as soon as it is done.
    ///
    /// Cancelling or dropping the future kills evaluator processes at once. A panic of the evaluation is passed on.
    ///
    /// # Errors
    /// The run could not be evaluated, or `cancel` was cancelled before it was.
    async fn execute(
        &self,
        claimed: &Claimed,
        observer: &(dyn Fn(UnitResults) + Send + Sync),
        cancel: &CancellationToken,
    ) -> Result<ExecutedRun, ExecutionError>;
}

/// Access of runs to code evaluators, the network and secrets.
#[derive(Clone)]
pub struct Resources {
    /// Code evaluators that may run.
    pub code: CodePolicy,
    /// The client for HTTP calls.
    pub outbound: Outbound,
    /// Looks up secrets.
    pub credentials: Credentials,
    /// Limits on fetching a trace.
    pub fetch: FetchLimits,
}

/// Evaluates runs in this process, each on a blocking thread.
#[derive(Clone)]
pub struct Evaluation {
    code: CodePolicy,
    fetcher: Fetcher,
}

impl Evaluation {
    /// An executor that uses `resources` and nothing else.
    pub fn new(resources: Resources) -> Self {
        let Resources { code, outbound, credentials, fetch } = resources;
        Self { code, fetcher: Fetcher::new(outbound, credentials, fetch) }
    }
}

#[async_trait]
impl Executor for Evaluation {
    async fn execute(
        &self,
        claimed: &Claimed,
        observer: &(dyn Fn(UnitResults) + Send + Sync),
        cancel: &CancellationToken,
    ) -> Result<ExecutedRun, ExecutionError> {
        let stop = cancel.child_token();
        let _stops_when_dropped = stop.clone().drop_guard();
        let (sender, mut finished) = mpsc::unbounded_channel();
        let evaluation = BlockingEvaluation {
            run: claimed.lease.run,
            spec: claimed.spec.clone(),
            code: self.code.clone(),
            fetcher: self.fetcher.clone(),
            stop,
            finished: sender,
        };
        let runtime = Handle::current();
        let mut working = tokio::task::spawn_blocking(move || evaluation.run(&runtime));
        let ended = loop {
            tokio::select! {
                biased;
                // The thread stops after its current unit; nobody takes its outcome.
                () = cancel.cancelled() => return Err(ExecutionError::Cancelled),
                Some(unit) = finished.recv() => observer(unit),
                ended = &mut working => break ended,
            }
        };
        while let Ok(unit) = finished.try_recv() {
            observer(unit);
        }
        match ended {
            Ok(outcome) => outcome,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => Err(ExecutionError::Cancelled), // the runtime is shutting down
            },
        }
    }
}

/// The evaluation of one run on a blocking thread.
struct BlockingEvaluation {
    run: RunId,
    spec: String,
    code: CodePolicy,
    fetcher: Fetcher,
    stop: CancellationToken,
    finished: mpsc::UnboundedSender<UnitResults>,
}

impl BlockingEvaluation {
    fn run(self, runtime: &Handle) -> Result<ExecutedRun, ExecutionError> {
        let text = repaired(&self.spec);
        // The spec may name code evaluators even if this worker does not run them: their own results say so, and the
        // other metrics are computed.
        let rules = SpecRules {
            code: CodeRule::BelowDirectory,
            credentials: self.fetcher.credential_rules(),
            outbound: self.fetcher.outbound_rules(),
            sinks: None, // the outbox reads them
        };
        let (spec, inline) = RunSpec::parse(&text, &rules)
            .map_err(|error| ExecutionError::permanent("bad_spec", error.to_string()))?;
        let document = self.document(&spec, inline, runtime)?;
        let unusable =
            |unusable: Unusable| ExecutionError::permanent(unusable.code(), unusable.faults().join("; "));
        let loaded = load_document(&document, spec.format).map_err(unusable)?;
        let reporter = UnitReporter {
            recorder: Recorder::new(&spec.parameters.evaluators),
            units: Mutex::default(),
            finished: &self.finished,
        };
        let input = EvaluationInput {
            loaded,
            eval_set: spec.eval_set.as_ref(),
            parameters: spec.parameters,
            code: &self.code,
        };
        let report = input.evaluate(&reporter, &self.stop, runtime).ok_or(ExecutionError::Cancelled)?;
        let units = reporter.units.into_inner().unwrap_or_else(PoisonError::into_inner);
        let mut results: Vec<_> = units.into_iter().flatten().collect();
        results.sort_by_key(|result| result.ordinal);
        let summary = summarise(&report, &results);
        Ok(ExecutedRun { verdict: report.verdict, total: summary.trace_count, summary, results })
    }

    /// The document with the traces: part of the specification, or fetched.
    fn document(&self, spec: &RunSpec, inline: &str, runtime: &Handle) -> Result<Document, ExecutionError> {
        match &spec.target {
            RunTarget::Inline => {
                inline_document(inline).map_err(|error| ExecutionError::permanent(BAD_TRACE, error))
            }
            RunTarget::Http(target) => {
                let fetched = self.fetcher.fetch(self.run, target, &spec.credentials);
                let fetched = runtime.block_on(self.stop.run_until_cancelled(fetched));
                Ok(fetched.ok_or(ExecutionError::Cancelled)??)
            }
        }
    }
}

/// Collects the results of finished units and sends them to the attempt.
struct UnitReporter<'a> {
    recorder: Recorder,
    units: Mutex<Vec<Vec<ResultRecord>>>,
    finished: &'a mpsc::UnboundedSender<UnitResults>,
}

impl Observer for UnitReporter<'_> {
    fn unit_done(&self, place: UnitPlace, unit: &UnitReport) {
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        let results = self.recorder.record(place.index, unit);
        let mut units = self.units.lock().unwrap_or_else(PoisonError::into_inner);
        units.push(results.clone());
        let progress = Progress { done: count(units.len()), total: count(place.total) };
        // Sent under the lock, so that progress only grows. The receiver is gone after a cancellation.
        let _ = self.finished.send(UnitResults { results, progress });
    }
}
