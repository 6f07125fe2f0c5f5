//! The service for uploads, which the API calls: evaluates them, a bounded number at a time, and stores their runs.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{JoinError, JoinHandle};
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::warn;

use super::body::TRACES;
use super::fault::{PartFault, Refusal, UploadError};
use super::finished::{FinishedRun, FinishedRuns};
use super::recording::{Effort, Uploaded};
use super::source::Source;
use super::upload::{Upload, UploadRules};
use crate::evaluation::{Observer, Report};
use crate::evaluators::EvaluationInput;
use crate::ids::RunId;
use crate::runs::{DEADLINE_EXCEEDED, Failure, Recorder, StoreError};
use crate::sources::{BAD_TRACE, Unusable};
use crate::spec::storable;
use crate::trace::{Join, Warning, load};

/// Longest wait for storage; the sender gets its report after that even if it is not stored.
const RECORDING_PATIENCE: Duration = Duration::from_secs(10);

/// Evaluates uploads.
#[derive(Clone)]
pub struct UploadService {
    finished: Arc<dyn FinishedRuns>,
    rules: Arc<UploadRules>,
    slots: Arc<Semaphore>,
}

/// The outcome of an evaluated upload.
#[derive(Debug)]
pub struct EvaluatedUpload {
    /// The report; a warning says so if it could not be stored.
    pub report: Report,
    /// Its stored run.
    pub run: Option<RunId>,
}

/// An evaluation under way. Dropping it stops the evaluation: evaluator processes at once, built-in metrics after the
/// current unit.
#[derive(Debug)]
pub struct UploadEvaluation {
    task: JoinHandle<Option<Result<EvaluatedUpload, UploadError>>>,
    _stops_when_dropped: DropGuard,
}

impl UploadEvaluation {
    /// Waits for the outcome; `None` when the process is ending.
    ///
    /// # Errors
    /// The upload cannot be used, or its evaluation took too long.
    ///
    /// # Panics
    /// If the evaluation panicked.
    pub async fn finish(mut self) -> Option<Result<EvaluatedUpload, UploadError>> {
        unwound((&mut self.task).await)?
    }
}

impl UploadService {
    /// A service that evaluates at most `at_a_time` uploads at a time and stores them as runs.
    pub fn new(finished: Arc<dyn FinishedRuns>, rules: UploadRules, at_a_time: usize) -> Self {
        Self { finished, rules: Arc::new(rules), slots: Arc::new(Semaphore::new(at_a_time)) }
    }

    /// Waits for a slot to evaluate an upload; `None` if none becomes free within `patience`.
    pub async fn slot(&self, patience: Duration) -> Option<OwnedSemaphorePermit> {
        tokio::time::timeout(patience, self.slots.clone().acquire_owned()).await.ok()?.ok()
    }

    /// Starts to evaluate an upload that came to `endpoint`; `observer` is told of its progress. `held`, such as a slot,
    /// is dropped when the evaluation has ended or stopped.
    pub fn start(
        &self,
        source: Source,
        endpoint: &str,
        observer: impl Observer + Send + 'static,
        held: impl Send + 'static,
    ) -> UploadEvaluation {
        let stop = CancellationToken::new();
        let evaluation = BlockingUpload { rules: self.rules.clone(), stop: stop.clone() };
        let (finished, worker) = (self.finished.clone(), format!("sync:{endpoint}"));
        let task = UploadTask { finished, worker, evaluation };
        UploadEvaluation {
            task: tokio::spawn(task.run(source, observer, held)),
            _stops_when_dropped: stop.drop_guard(),
        }
    }
}

/// The evaluation of an upload, from its start until its run is stored.
struct UploadTask {
    finished: Arc<dyn FinishedRuns>,
    worker: String,
    evaluation: BlockingUpload,
}

impl UploadTask {
    /// Evaluates and stores; `None` when nobody waits for the outcome any more, or when the process is ending.
    async fn run(
        self,
        source: Source,
        observer: impl Observer + Send + 'static,
        held: impl Send + 'static,
    ) -> Option<Result<EvaluatedUpload, UploadError>> {
        let Self { finished, worker, evaluation } = self;
        let (began, deadline) = (Instant::now(), evaluation.rules.deadline);
        let (evaluated, is_late) = evaluation.run_in_time(source, observer, held).await;
        let (report, uploaded) = match unwound(evaluated)? {
            Ok(evaluated) => evaluated,
            Err(error) => return Some(Err(error)),
        };
        let effort = Effort { worker: &worker, elapsed: began.elapsed(), deadline };
        match report {
            Some(report) => {
                let run = uploaded.reported(&report, &effort);
                Some(Ok(recorded(&*finished, &run, report).await))
            }
            None if is_late => {
                let error = late(deadline);
                let run = uploaded.failed(Failure::new(DEADLINE_EXCEEDED, error.to_string()), &effort);
                let _ = record(&*finished, &run).await; // the sender gets the same error either way
                Some(Err(error))
            }
            None => None,
        }
    }
}

/// The value of a task, whose panic is passed on; `None` when the process is ending.
fn unwound<T>(joined: Result<T, JoinError>) -> Option<T> {
    match joined.map_err(JoinError::try_into_panic) {
        Ok(value) => Some(value),
        Err(Ok(panic)) => std::panic::resume_unwind(panic),
        Err(Err(_)) => None,
    }
}

/// Stores the run of a report. If that fails, the report says so in a warning and is returned all the same.
async fn recorded(finished: &dyn FinishedRuns, run: &FinishedRun, mut report: Report) -> EvaluatedUpload {
    let stored = record(finished, run).await;
    report.warnings.extend(stored.as_ref().err().cloned());
    EvaluatedUpload { report, run: stored.is_ok().then_some(run.id) }
}

/// Stores a run; the error is a warning for its report.
async fn record(finished: &dyn FinishedRuns, run: &FinishedRun) -> Result<(), Warning> {
    let stored = tokio::time::timeout(RECORDING_PATIENCE, finished.record_finished(run)).await;
    let late =
        |_| Err(StoreError::Unavailable(format!("no answer within {} s", RECORDING_PATIENCE.as_secs())));
    let Err(error) = stored.unwrap_or_else(late) else { return Ok(()) };
    warn!(run.id = %run.id, "an evaluation could not be stored as run `{}`: {error:#}", run.id);
    let why = match error {
        StoreError::Unavailable(_) => "storage is unavailable".to_owned(),
        StoreError::Full(limit) => format!("storage is full: {limit}"),
        StoreError::Other(_) => "internal error".to_owned(),
    };
    let text = format!("the evaluation was not stored as a run: {why}");
    Err(Warning { code: "not_recorded", text })
}

/// The evaluation took too long.
fn late(deadline: Duration) -> UploadError {
    let text = format!(
        "the evaluation did not end within {} s; submit a run with a longer deadline instead",
        deadline.as_secs()
    );
    UploadError { refusal: Refusal::Late, faults: vec![PartFault { detail: text, ..PartFault::default() }] }
}

/// The evaluation of one upload on a blocking thread.
struct BlockingUpload {
    rules: Arc<UploadRules>,
    stop: CancellationToken,
}

/// The report, unless the evaluation was stopped, and the facts that are stored with it.
type Evaluated = Result<(Option<Report>, Uploaded), UploadError>;

impl BlockingUpload {
    /// Evaluates on a blocking thread, and stops that at the deadline; also returns whether it did.
    async fn run_in_time(
        self,
        source: Source,
        observer: impl Observer + Send + 'static,
        held: impl Send + 'static,
    ) -> (Result<Evaluated, JoinError>, bool) {
        let (stop, deadline) = (self.stop.clone(), self.rules.deadline);
        let runtime = Handle::current();
        let mut working = tokio::task::spawn_blocking(move || {
            let _held = held; // the thread may outlive the task that waits for it
            self.run(source, &observer, &runtime)
        });
        match tokio::time::timeout(deadline, &mut working).await {
            Ok(evaluated) => (evaluated, false),
            Err(_) => {
                stop.cancel();
                (working.await, true)
            }
        }
    }

    /// Reads the upload and evaluates it on the calling thread.
    fn run(self, source: Source, observer: &dyn Observer, runtime: &Handle) -> Evaluated {
        let upload = source.read(&self.rules)?;
        let Upload { files, format, eval_set, parameters, eval_set_error, texts, needs_traces } = upload;
        let join = if parameters.lenient { Join::WithinDocuments } else { Join::AcrossDocuments };
        let loaded = load(&files.documents, format, join);
        let unusable = Unusable::of(&loaded);
        if let Some(unusable) = unusable.as_ref().filter(|_| needs_traces) {
            return Err(no_traces(unusable));
        }
        let failure = unusable.as_ref().map(|unusable| failure(unusable, &files.errors));
        let mut errors = files.errors;
        if let Some(Unusable::NoTraces(why)) = unusable {
            errors.push(why); // an `Unreadable` needs no entry: the report lists the errors of `loaded`
        }
        errors.extend(eval_set_error);
        let uploaded = Uploaded {
            files: files.names,
            trace_count: loaded.traces.len(),
            texts,
            eval_set_id: eval_set.as_ref().map(|set| storable(&set.id)),
            recorder: Recorder::new(&parameters.evaluators),
            failure,
        };
        let input =
            EvaluationInput { loaded, eval_set: eval_set.as_ref(), parameters, code: &self.rules.code };
        let mut report = input.evaluate(observer, &self.stop, runtime);
        if let Some(report) = &mut report {
            report.add_reading(errors, Vec::new());
        }
        Ok((report, uploaded))
    }
}

/// The failure of an upload without a readable trace; `unread` has the errors of files that are no text.
fn failure(unusable: &Unusable, unread: &[String]) -> Failure {
    let code = if unread.is_empty() { unusable.code() } else { BAD_TRACE };
    Failure::new(code, [unread, &unusable.faults()].concat().join("; "))
}

fn no_traces(unusable: &Unusable) -> UploadError {
    let fault = |detail| PartFault { part: None, pointer: Some(format!("/{TRACES}")), detail };
    let faults = unusable.faults().into_iter().map(fault).collect();
    UploadError { refusal: Refusal::NoTraces, faults }
}
