//! One attempt to execute a claimed run, from its start until its end is written.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::oneshot;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use super::active::{Interruption, Shared};
use super::execution::{ExecutedRun, ExecutionError};
use super::model::{Claimed, Record};
use super::unsaved::{Collector, Unsaved};
use crate::names::name_of;
use crate::runs::{DEADLINE_EXCEEDED, Ending, Failure, RunStatus};

/// Interval of storing new results while the run goes on.
const FLUSH: Duration = Duration::from_millis(500);

/// Longest wait for an execution to notice that it was stopped.
const NOTICE: Duration = Duration::from_secs(5);

/// The outcome of an execution; `Cancelled` if it was interrupted.
type Executed = Result<ExecutedRun, ExecutionError>;

/// Executes a claimed run, writes its end or queues it again, and frees its slot.
pub(super) async fn execute(shared: Arc<Shared>, claimed: Claimed, cancel: CancellationToken) {
    let (run, number) = (claimed.lease.run, claimed.attempt);
    debug!(run.id = %run, attempt = number, "started run `{run}`, attempt {number}");
    let attempt = Attempt { shared: &shared, claimed: &claimed };
    let collector = Collector::default();
    let executed = attempt.run(&cancel, &collector).await;
    attempt.conclude(executed, collector.take_rest()).await;
    shared.remove(claimed.lease);
}

/// One attempt to execute a run.
struct Attempt<'a> {
    shared: &'a Shared,
    claimed: &'a Claimed,
}

impl Attempt<'_> {
    /// Executes the run within its deadline, storing results from time to time.
    async fn run(&self, cancel: &CancellationToken, collector: &Collector) -> Executed {
        let observer = |unit| collector.add(unit);
        let execution = self.shared.executor.execute(self.claimed, &observer, cancel);
        let mut execution = std::pin::pin!(AssertUnwindSafe(execution).catch_unwind());
        let mut deadline = std::pin::pin!(tokio::time::sleep(self.claimed.deadline));
        let mut ticks = tokio::time::interval_at(Instant::now() + FLUSH, FLUSH);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut flushed: Option<oneshot::Receiver<bool>> = None;
        loop {
            tokio::select! {
                ended = &mut execution => return caught(ended),
                () = &mut deadline => break,
                () = cancel.cancelled() => break,
                _ = ticks.tick() => {
                    // One flush at a time: while storage is away, results wait here, not in the writer's queue.
                    let is_done = flushed.as_mut().is_none_or(|flushed| flushed.try_recv().is_ok());
                    if let Some(unsaved) = is_done.then(|| collector.take_new()).flatten() {
                        flushed = Some(self.shared.writer.send(unsaved.into_record(self.claimed)).await);
                    }
                }
            }
        }
        let is_late = !cancel.is_cancelled();
        cancel.cancel();
        let _ = tokio::time::timeout(NOTICE, execution).await;
        Err(if is_late { late(self.claimed.deadline) } else { ExecutionError::Cancelled })
    }

    /// Writes how the run ended, or queues it again.
    async fn conclude(&self, executed: Executed, unsaved: Unsaved) {
        let ending = match executed {
            Ok(ExecutedRun { verdict, summary, results, .. }) => {
                let unsaved = unsaved.with_all(results);
                let ending = Ending::Succeeded { verdict, summary: Box::new(summary) };
                return self.finish(ending, unsaved).await;
            }
            Err(ExecutionError::Transient { failure, retry_after })
                if self.claimed.attempt < self.claimed.max_attempts =>
            {
                match self.requeue(&failure, retry_after).await {
                    true => return,
                    // Cancellation was requested; or the lease is lost, and then storage refuses this write too.
                    false => Ending::Cancelled,
                }
            }
            Err(ExecutionError::Permanent(failure) | ExecutionError::Transient { failure, .. }) => {
                Ending::Failed(failure)
            }
            Err(ExecutionError::Cancelled) => match self.shared.interruption(self.claimed.lease) {
                Some(Interruption::Cancelled) => Ending::Cancelled,
                Some(Interruption::LeaseLost) => {
                    let run = self.claimed.lease.run;
                    warn!(run.id = %run, "run `{run}` is not held any more");
                    return;
                }
                // The worker gives all interrupted runs back in one call when it stops.
                Some(Interruption::Shutdown) | None => return,
            },
        };
        self.finish(ending, unsaved).await;
    }

    /// Writes the end of the run with the results that are not stored yet.
    async fn finish(&self, ending: Ending, unsaved: Unsaved) {
        let (run, status) = (self.claimed.lease.run, name_of(&RunStatus::NAMES, &ending.status()));
        let record = Record { ending: Some(ending), ..unsaved.into_record(self.claimed) };
        let written = self.shared.writer.send(record).await;
        match written.await {
            Ok(true) => info!(run.id = %run, run.status = status, "finished run `{run}`: {status}"),
            Ok(false) => {
                warn!(run.id = %run, "run `{run}` is not held any more; its end was not written now")
            }
            Err(_) => error!(run.id = %run, "the end of run `{run}` was not written; its lease will end"),
        }
    }

    /// Queues the run again, due after the back-off and not before `retry_after`; `false` if its lease is lost or
    /// cancellation was requested.
    async fn requeue(&self, failure: &Failure, retry_after: Option<Duration>) -> bool {
        let run = self.claimed.lease.run;
        let backoff = self.shared.settings.backoff(self.claimed.attempt);
        let delay = backoff.max(retry_after.unwrap_or_default());
        match self.shared.queue.requeue(self.claimed.lease, failure, delay).await {
            Ok(false) => false,
            Ok(true) => {
                let seconds = delay.as_secs_f64();
                let why = &failure.message;
                info!(run.id = %run, "run `{run}` failed and is tried again in {seconds:.1} s: {why}");
                true
            }
            Err(error) => {
                warn!(run.id = %run, "run `{run}` could not be given back; its lease will end: {error}");
                true
            }
        }
    }
}

/// The outcome of an execution; a panic is a permanent failure, whose text goes to the log only.
fn caught(ended: Result<Executed, Box<dyn Any + Send>>) -> Executed {
    ended.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
        error!("an evaluation panicked: {text}");
        let message = "the evaluation ended with an internal error; see the server's log";
        Err(ExecutionError::permanent("internal_error", message))
    })
}

fn late(deadline: Duration) -> ExecutionError {
    let seconds = deadline.as_secs();
    let message = format!("not done within its deadline of {seconds} s; submit it with a larger `deadlineS`");
    ExecutionError::permanent(DEADLINE_EXCEEDED, message)
}
