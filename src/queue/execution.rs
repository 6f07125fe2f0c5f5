//! What a worker does with a run it has claimed: get its traces and evaluate them by the one path there is.
//!
//! [`Executor`] is the port; workers are tested with others than [`Evaluation`], the real one.

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

/// What came out of a run.
#[derive(Debug, Clone)]
pub struct ExecutedRun {
    /// What the agent's behaviour was worth.
    pub verdict: Verdict,
    /// Counts and averages.
    pub summary: Summary,
    /// All results by place, those that were observed before included.
    pub results: Vec<ResultRecord>,
    /// Evaluation units.
    pub total: u32,
}

/// The results of an evaluation unit whose metrics are all done.
#[derive(Debug, Clone)]
pub struct UnitResults {
    /// One per metric.
    pub results: Vec<ResultRecord>,
    /// How far the run has come with this unit.
    pub progress: Progress,
}

/// Why nothing came out of a run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExecutionError {
    /// It could not be evaluated, and another attempt would only repeat that.
    #[error("{}", .0.message)]
    Permanent(Failure),
    /// It could not be evaluated now.
    #[error("{}", failure.message)]
    Transient {
        /// Why.
        failure: Failure,
        /// How long to wait at least, when somebody asked for that.
        retry_after: Option<Duration>,
    },
    /// It was stopped.
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
    /// Evaluates a run; `observer` is told of each unit as soon as it is done.
    ///
    /// Cancelling or dropping the future ends evaluators outside this program at once. A panic of the evaluation is
    /// passed on.
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

/// What runs may use of this process and the world around it.
#[derive(Clone)]
pub struct Resources {
    /// Which code evaluators may run.
    pub code: CodePolicy,
    /// Calls others.
    pub outbound: Outbound,
    /// Looks secrets up.
    pub credentials: Credentials,
    /// Limits on getting a trace.
    pub fetch: FetchLimits,
}

/// Evaluates runs in this process, on a thread for blocking work.
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
        let job = Job {
            run: claimed.lease.run,
            spec: claimed.spec.clone(),
            code: self.code.clone(),
            fetcher: self.fetcher.clone(),
            stop,
            finished: sender,
        };
        let runtime = Handle::current();
        let mut work = tokio::task::spawn_blocking(move || job.run(&runtime));
        let ended = loop {
            tokio::select! {
                biased;
                // Built-in metrics end after the unit they are at; the result of their thread is dropped.
                () = cancel.cancelled() => return Err(ExecutionError::Cancelled),
                Some(unit) = finished.recv() => observer(unit),
                ended = &mut work => break ended,
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

/// One run being evaluated on a thread of its own.
struct Job {
    run: RunId,
    spec: String,
    code: CodePolicy,
    fetcher: Fetcher,
    stop: CancellationToken,
    finished: mpsc::UnboundedSender<UnitResults>,
}

impl Job {
    fn run(self, runtime: &Handle) -> Result<ExecutedRun, ExecutionError> {
        let text = repaired(&self.spec);
        // Whether code evaluators run here is asked when they do, so that other metrics are computed all the same.
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

    /// The document with the traces, wherever it is.
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

/// Keeps the results of each unit that is done and passes them on.
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
        // Sent under the lock, so that progress only grows. Nobody listens any more after a cancellation.
        let _ = self.finished.send(UnitResults { results, progress });
    }
}
