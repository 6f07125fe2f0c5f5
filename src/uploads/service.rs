//! Evaluating uploads while their senders wait, a bounded number at a time, and storing what came out.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{JoinError, JoinHandle};
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::warn;

use super::body::TRACES;
use super::fault::{Refusal, UploadError, UploadFault};
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

/// How long a result is held back for storage.
const RECORDING_PATIENCE: Duration = Duration::from_secs(10);

/// Evaluates uploads.
#[derive(Clone)]
pub struct UploadService {
    finished: Arc<dyn FinishedRuns>,
    rules: Arc<UploadRules>,
    slots: Arc<Semaphore>,
}

/// What came of an upload.
#[derive(Debug)]
pub struct EvaluatedUpload {
    /// The report; its warnings say so if it could not be stored.
    pub report: Report,
    /// The run that was stored of it.
    pub run: Option<RunId>,
}

/// An evaluation under way. Dropping it stops the evaluation: evaluators outside this program at once, built-in
/// metrics after the unit they are at.
#[derive(Debug)]
pub struct UploadEvaluation {
    task: JoinHandle<Option<Result<EvaluatedUpload, UploadError>>>,
    _stops_when_dropped: DropGuard,
}

impl UploadEvaluation {
    /// What came of it; `None` when the process is ending.
    ///
    /// # Errors
    /// The upload cannot be used.
    ///
    /// # Panics
    /// The evaluation did.
    pub async fn finish(mut self) -> Option<Result<EvaluatedUpload, UploadError>> {
        unwound((&mut self.task).await)?
    }
}

impl UploadService {
    /// A service that evaluates so many uploads at a time and stores them as runs.
    pub fn new(finished: Arc<dyn FinishedRuns>, rules: UploadRules, at_a_time: usize) -> Self {
        Self { finished, rules: Arc::new(rules), slots: Arc::new(Semaphore::new(at_a_time)) }
    }

    /// Waits for the permission to work on an upload; `None` when none becomes free within `patience`.
    pub async fn slot(&self, patience: Duration) -> Option<OwnedSemaphorePermit> {
        tokio::time::timeout(patience, self.slots.clone().acquire_owned()).await.ok()?.ok()
    }

    /// Starts to evaluate an upload that came to `endpoint`; `observer` is told how it goes on. What is `held`, such
    /// as a slot, is released when it is over or has stopped.
    pub fn start(
        &self,
        source: Source,
        endpoint: &str,
        observer: impl Observer + Send + 'static,
        held: impl Send + 'static,
    ) -> UploadEvaluation {
        let stop = CancellationToken::new();
        let work = Work { rules: self.rules.clone(), stop: stop.clone() };
        let task = Task { finished: self.finished.clone(), worker: format!("sync:{endpoint}"), work };
        UploadEvaluation {
            task: tokio::spawn(task.run(source, observer, held)),
            _stops_when_dropped: stop.drop_guard(),
        }
    }
}

/// An upload from its beginning until it is stored.
struct Task {
    finished: Arc<dyn FinishedRuns>,
    worker: String,
    work: Work,
}

impl Task {
    /// What came of it; `None` when nobody waits any more.
    async fn run(
        self,
        source: Source,
        observer: impl Observer + Send + 'static,
        held: impl Send + 'static,
    ) -> Option<Result<EvaluatedUpload, UploadError>> {
        let Self { finished, worker, work } = self;
        let (began, stop, deadline) = (Instant::now(), work.stop.clone(), work.rules.deadline);
        let runtime = Handle::current();
        let mut working = tokio::task::spawn_blocking(move || {
            let _held = held;
            work.run(source, &observer, &runtime)
        });
        let in_time = tokio::time::timeout(deadline, &mut working).await;
        let is_late = in_time.is_err();
        let worked = match in_time {
            Ok(worked) => worked,
            Err(_) => {
                stop.cancel();
                working.await
            }
        };
        let (report, uploaded) = match unwound(worked)? {
            Ok(done) => done,
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
                let _ = record(&*finished, &run).await; // the sender is told the same either way
                Some(Err(error))
            }
            None => None,
        }
    }
}

/// What a task came to; passes a panic on. `None` when the process is ending.
fn unwound<T>(joined: Result<T, JoinError>) -> Option<T> {
    match joined.map_err(JoinError::try_into_panic) {
        Ok(value) => Some(value),
        Err(Ok(panic)) => std::panic::resume_unwind(panic),
        Err(Err(_)) => None,
    }
}

/// Stores a run of a report, which says so when that fails: what came out is worth as much.
async fn recorded(finished: &dyn FinishedRuns, run: &FinishedRun, mut report: Report) -> EvaluatedUpload {
    let stored = record(finished, run).await;
    report.warnings.extend(stored.as_ref().err().cloned());
    EvaluatedUpload { report, run: stored.is_ok().then_some(run.id) }
}

/// Stores a run, or warns why not.
async fn record(finished: &dyn FinishedRuns, run: &FinishedRun) -> Result<(), Warning> {
    let stored = tokio::time::timeout(RECORDING_PATIENCE, finished.record_finished(run)).await;
    let late =
        |_| Err(StoreError::Unavailable(format!("no answer within {} s", RECORDING_PATIENCE.as_secs())));
    let Err(error) = stored.unwrap_or_else(late) else { return Ok(()) };
    warn!(run.id = %run.id, "an evaluation could not be stored as run `{}`: {error:#}", run.id);
    let why = match error {
        StoreError::Unavailable(_) => "storage is unavailable".to_owned(),
        StoreError::Full(what) => format!("storage is full: {what}"),
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
    UploadError {
        refusal: Refusal::Late,
        faults: vec![UploadFault { detail: text, ..UploadFault::default() }],
    }
}

/// One upload being evaluated on a thread of its own.
struct Work {
    rules: Arc<UploadRules>,
    stop: CancellationToken,
}

impl Work {
    /// The report, unless it was stopped, and what is stored with it.
    fn run(
        self,
        source: Source,
        observer: &dyn Observer,
        runtime: &Handle,
    ) -> Result<(Option<Report>, Uploaded), UploadError> {
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
            errors.push(why); // what could not be read is listed by the report
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

/// Why nothing was evaluated; `unread` are files that are no text.
fn failure(unusable: &Unusable, unread: &[String]) -> Failure {
    let code = if unread.is_empty() { unusable.code() } else { BAD_TRACE };
    Failure::new(code, [unread, &unusable.faults()].concat().join("; "))
}

fn no_traces(unusable: &Unusable) -> UploadError {
    let fault = |detail| UploadFault { part: None, pointer: Some(format!("/{TRACES}")), detail };
    let faults = unusable.faults().into_iter().map(fault).collect();
    UploadError { refusal: Refusal::NoTraces, faults }
}
