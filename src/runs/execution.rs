//! What a worker does with a run it has claimed: evaluate it by the one path there is.
//!
//! [`Executor`] is the port; workers are tested with others than [`Evaluation`], the real one.

use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::assessment::Assessment;
use super::model::{Claimed, Failure, Progress, ResultRecord, Summary, Verdict};
use super::outcome::{Recorder, summarise};
use super::spec::{RunSpec, Unusable, inline_document, load_inline, repaired};
use crate::evaluation::config::CodeRule;
use crate::evaluation::{Observer, Place, UnitReport};
use crate::evaluators::CodePolicy;

/// What came out of a run.
#[derive(Debug, Clone)]
pub struct Evaluated {
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
    /// It could not be evaluated.
    #[error("{}", failure.message)]
    Failed {
        /// Why.
        failure: Failure,
        /// Whether another attempt may succeed.
        is_transient: bool,
    },
    /// It was stopped.
    #[error("the run was cancelled")]
    Cancelled,
}

impl ExecutionError {
    /// A failure that another attempt would only repeat.
    fn permanent(code: &str, message: impl Into<String>) -> Self {
        Self::Failed { failure: Failure::new(code, message), is_transient: false }
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
    ) -> Result<Evaluated, ExecutionError>;
}

/// Evaluates runs in this process, on a thread for blocking work.
#[derive(Debug, Clone)]
pub struct Evaluation {
    code: CodePolicy,
}

impl Evaluation {
    /// An executor that runs the code evaluators that `code` allows.
    pub fn new(code: CodePolicy) -> Self {
        Self { code }
    }
}

#[async_trait]
impl Executor for Evaluation {
    async fn execute(
        &self,
        claimed: &Claimed,
        observer: &(dyn Fn(UnitResults) + Send + Sync),
        cancel: &CancellationToken,
    ) -> Result<Evaluated, ExecutionError> {
        let stop = cancel.child_token();
        let _stops_when_dropped = stop.clone().drop_guard();
        let (sender, mut finished) = mpsc::unbounded_channel();
        let job = Job { spec: claimed.spec.clone(), code: self.code.clone(), stop, finished: sender };
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
    spec: String,
    code: CodePolicy,
    stop: CancellationToken,
    finished: mpsc::UnboundedSender<UnitResults>,
}

impl Job {
    fn run(self, runtime: &Handle) -> Result<Evaluated, ExecutionError> {
        let text = repaired(&self.spec);
        // Whether code evaluators run here is asked when they do, so that other metrics are computed all the same.
        let (spec, inline) = RunSpec::parse(&text, CodeRule::BelowDirectory)
            .map_err(|error| ExecutionError::permanent("bad_spec", error.to_string()))?;
        let document =
            inline_document(inline).map_err(|error| ExecutionError::permanent("bad_trace", error))?;
        let loaded = load_inline(&document, spec.format).map_err(|unusable| match unusable {
            Unusable::Unreadable(faults) => ExecutionError::permanent("bad_trace", faults.join("; ")),
            Unusable::NoTraces(fault) => ExecutionError::permanent("no_traces", fault),
        })?;
        let teller = Teller {
            recorder: Recorder::new(&spec.parameters.evaluators),
            units: Mutex::default(),
            finished: &self.finished,
        };
        let assessment = Assessment {
            loaded,
            eval_set: spec.eval_set.as_ref(),
            parameters: spec.parameters,
            code: &self.code,
        };
        let report = assessment.run(&teller, &self.stop, runtime).ok_or(ExecutionError::Cancelled)?;
        let units = teller.units.into_inner().unwrap_or_else(PoisonError::into_inner);
        let mut results: Vec<_> = units.into_iter().flatten().collect();
        results.sort_by_key(|result| result.ordinal);
        let summary = summarise(&report, &results);
        Ok(Evaluated { verdict: report.verdict, total: summary.trace_count, summary, results })
    }
}

/// Keeps the results of each unit that is done and passes them on.
struct Teller<'a> {
    recorder: Recorder,
    units: Mutex<Vec<Vec<ResultRecord>>>,
    finished: &'a mpsc::UnboundedSender<UnitResults>,
}

impl Observer for Teller<'_> {
    fn unit_done(&self, place: Place, unit: &UnitReport) {
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        let results = self.recorder.record(place.index, unit);
        let mut units = self.units.lock().unwrap_or_else(PoisonError::into_inner);
        units.push(results.clone());
        let progress = Progress { done: count(units.len()), total: count(place.total) };
        // Sent under the lock, so that progress only grows. Nobody listens any more after a cancellation.
        let _ = self.finished.send(UnitResults { results, progress });
    }
}
