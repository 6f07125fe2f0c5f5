//! One attempt at a run, from the claim to its end.

use std::any::Any;
use std::collections::HashSet;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::oneshot;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};
use uuid::Uuid;

use super::active::{Interruption, Shared};
use super::execution::{ExecutedRun, ExecutionError, UnitResults};
use super::model::{Claimed, Record};
use crate::names::name_of;
use crate::runs::{DEADLINE_EXCEEDED, Ending, Failure, Progress, ResultRecord, RunStatus};

/// How often results of a run that goes on are stored.
const FLUSH: Duration = Duration::from_millis(500);

/// How long an execution may take to notice that it has to end.
const NOTICE: Duration = Duration::from_secs(5);

/// How an execution came to an end; cancelled, when something interrupted it.
type Outcome = Result<ExecutedRun, ExecutionError>;

/// Executes a claimed run and sees to its end.
pub(super) async fn execute(shared: Arc<Shared>, claimed: Claimed, cancel: CancellationToken) {
    let (run, attempt) = (claimed.lease.run, claimed.attempt);
    debug!(run.id = %run, attempt, "started run `{run}`, attempt {attempt}");
    let flusher = Flusher::default();
    let outcome = run_to_end(&shared, &claimed, &cancel, &flusher).await;
    conclude(&shared, &claimed, outcome, flusher.take()).await;
    shared.let_go(claimed.lease);
}

/// Executes within the deadline, storing results from time to time.
async fn run_to_end(
    shared: &Shared,
    claimed: &Claimed,
    cancel: &CancellationToken,
    flusher: &Flusher,
) -> Outcome {
    let observer = |unit| flusher.add(unit);
    let execution = shared.executor.execute(claimed, &observer, cancel);
    let mut execution = std::pin::pin!(AssertUnwindSafe(execution).catch_unwind());
    let deadline = tokio::time::sleep(claimed.deadline);
    let mut deadline = std::pin::pin!(deadline);
    let mut ticks = tokio::time::interval_at(Instant::now() + FLUSH, FLUSH);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut flushed: Option<oneshot::Receiver<bool>> = None;
    loop {
        tokio::select! {
            ended = &mut execution => return outcome(ended),
            () = &mut deadline => break,
            () = cancel.cancelled() => break,
            _ = ticks.tick() => {
                // One flush at a time: when storage is away, results wait here and not in a queue.
                let is_done = flushed.as_mut().is_none_or(|flushed| flushed.try_recv().is_ok());
                if let Some(unsaved) = is_done.then(|| flusher.take_new()).flatten() {
                    flushed = Some(shared.writer.send(unsaved.into_record(claimed)).await);
                }
            }
        }
    }
    let is_late = !cancel.is_cancelled();
    cancel.cancel();
    let _ = tokio::time::timeout(NOTICE, execution).await;
    if is_late {
        let seconds = claimed.deadline.as_secs();
        let message =
            format!("not done within its deadline of {seconds} s; submit it with a larger `deadlineS`");
        return Err(ExecutionError::permanent(DEADLINE_EXCEEDED, message));
    }
    Err(ExecutionError::Cancelled)
}

fn outcome(ended: Result<Outcome, Box<dyn Any + Send>>) -> Outcome {
    ended.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
        error!("an evaluation panicked: {text}");
        let message = "the evaluation ended with an internal error; see the server's log";
        Err(ExecutionError::permanent("internal_error", message))
    })
}

/// Writes how the run ended, or gives it back.
async fn conclude(shared: &Shared, claimed: &Claimed, outcome: Outcome, unsaved: Unsaved) {
    let ending = match outcome {
        Ok(ExecutedRun { verdict, summary, results, .. }) => {
            let unsaved = unsaved.with_all(results);
            let ending = Ending::Succeeded { verdict, summary: Box::new(summary) };
            return finish(shared, claimed, ending, unsaved).await;
        }
        Err(ExecutionError::Transient { failure, retry_after }) if claimed.attempt < claimed.max_attempts => {
            match requeue(shared, claimed, &failure, retry_after).await {
                true => return,
                false => Ending::Cancelled, // or lost, and then this is not written either
            }
        }
        Err(ExecutionError::Permanent(failure) | ExecutionError::Transient { failure, .. }) => {
            Ending::Failed(failure)
        }
        Err(ExecutionError::Cancelled) => match shared.interruption(claimed.lease) {
            Some(Interruption::Cancelled) => Ending::Cancelled,
            Some(Interruption::LeaseLost) => {
                warn!(run.id = %claimed.lease.run, "run `{}` is not held any more", claimed.lease.run);
                return;
            }
            // Given back together with the others when all have ended.
            Some(Interruption::Shutdown) | None => return,
        },
    };
    finish(shared, claimed, ending, unsaved).await;
}

async fn finish(shared: &Shared, claimed: &Claimed, ending: Ending, unsaved: Unsaved) {
    let (run, status) = (claimed.lease.run, name_of(&RunStatus::NAMES, &ending.status()));
    let record = Record { ending: Some(ending), ..unsaved.into_record(claimed) };
    let written = shared.writer.send(record).await;
    match written.await {
        Ok(true) => info!(run.id = %run, run.status = status, "finished run `{run}`: {status}"),
        Ok(false) => warn!(run.id = %run, "run `{run}` is not held any more; its end was not written now"),
        Err(_) => error!(run.id = %run, "the end of run `{run}` was not written; its lease will end"),
    }
}

/// Gives the run back, to be tried again after the back-off and not before `retry_after`.
async fn requeue(
    shared: &Shared,
    claimed: &Claimed,
    failure: &Failure,
    retry_after: Option<Duration>,
) -> bool {
    let run = claimed.lease.run;
    let delay = shared.settings.backoff(claimed.attempt).max(retry_after.unwrap_or_default());
    match shared.queue.requeue(claimed.lease, failure, delay).await {
        Ok(false) => false, // cancelled meanwhile, or lost
        Ok(true) => {
            let seconds = delay.as_secs_f64();
            info!(run.id = %run, "run `{run}` failed and is tried again in {seconds:.1} s: {}", failure.message);
            true
        }
        Err(error) => {
            warn!(run.id = %run, "run `{run}` could not be given back; its lease will end: {error}");
            true
        }
    }
}

/// Collects results until they are stored.
#[derive(Debug, Default)]
struct Flusher(Mutex<Unsaved>);

/// Results not stored yet.
#[derive(Debug, Default)]
struct Unsaved {
    progress: Option<Progress>,
    results: Vec<ResultRecord>,
    /// Places of the results that were stored.
    stored: HashSet<u32>,
}

impl Flusher {
    /// Takes the results of a unit that is done.
    fn add(&self, unit: UnitResults) {
        let mut unsaved = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        unsaved.progress = Some(unit.progress);
        unsaved.results.extend(unit.results);
    }

    /// What is new since it was last asked, if anything is.
    fn take_new(&self) -> Option<Unsaved> {
        let mut unsaved = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let progress = unsaved.progress?;
        if unsaved.results.is_empty() {
            return None;
        }
        let results = std::mem::take(&mut unsaved.results);
        unsaved.stored.extend(results.iter().map(|result| result.ordinal));
        Some(Unsaved { progress: Some(progress), results, stored: HashSet::new() })
    }

    /// What is left.
    fn take(&self) -> Unsaved {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Unsaved {
    /// All results of the run but those stored.
    fn with_all(self, results: Vec<ResultRecord>) -> Self {
        let new = |result: &ResultRecord| !self.stored.contains(&result.ordinal);
        Self { results: results.into_iter().filter(new).collect(), ..self }
    }

    fn into_record(self, claimed: &Claimed) -> Record {
        Record {
            lease: claimed.lease,
            write: Uuid::new_v4(),
            attempt: claimed.attempt,
            progress: self.progress,
            results: self.results,
            ending: None,
            has_sinks: claimed.has_sinks,
            messages: Vec::new(),
        }
    }
}
