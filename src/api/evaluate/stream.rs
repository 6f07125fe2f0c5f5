//! Streams of updates of an evaluation.

use std::collections::HashSet;
use std::panic::AssertUnwindSafe;
use std::sync::{Mutex, PoisonError};

use futures_util::{FutureExt, StreamExt, stream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_util::sync::CancellationToken;
use tracing::error;

use crate::api::answer::EvaluationUpdate;
use crate::api::event_stream::EventStream;
use crate::api::problem::Problem;
use crate::evaluation::{Evaluator, Observer, UnitPlace, UnitReport};
use crate::extraction::Conversation;
use crate::uploads::UploadEvaluation;

/// Observes an evaluation and sends its updates to a stream.
pub(super) struct ProgressReporter {
    updates: UnboundedSender<EvaluationUpdate>,
    /// Units of which a metric was sent.
    begun: Mutex<HashSet<usize>>,
}

impl ProgressReporter {
    /// A reporter and the receiver of its updates. The channel is unbounded: all updates together are hardly larger than
    /// the result, so a slow reader costs little memory.
    pub(super) fn new() -> (Self, UnboundedReceiver<EvaluationUpdate>) {
        let (sender, receiver) = unbounded_channel();
        (Self { updates: sender, begun: Mutex::default() }, receiver)
    }

    fn send(&self, update: EvaluationUpdate) {
        let _ = self.updates.send(update); // fails only if the client has disconnected
    }
}

/// Characters of a group's key in messages.
const KEY_SHOWN: usize = 12;

impl Observer for ProgressReporter {
    fn grouped(&self, total: usize) {
        let plural = if total == 1 { "" } else { "s" };
        self.send(EvaluationUpdate::message(format!("evaluating {total} trace{plural}")));
    }

    fn extracted(
        &self,
        UnitPlace { index, total }: UnitPlace,
        unit: &UnitReport,
        conversation: &Conversation,
    ) {
        self.send(EvaluationUpdate::extracted(unit, conversation));
        let key: String = unit.group_key.chars().take(KEY_SHOWN).collect();
        self.send(EvaluationUpdate::message(format!("trace {}/{total}: {key}", index + 1)));
    }

    fn metric_started(&self, _: UnitPlace, evaluator: &Evaluator) {
        self.send(EvaluationUpdate::message(format!("running {}", evaluator.name)));
    }

    fn metric_done(&self, place: UnitPlace, unit: &UnitReport, metric: usize) {
        let is_first = self.begun.lock().unwrap_or_else(PoisonError::into_inner).insert(place.index);
        self.send(EvaluationUpdate::metric_done(unit, metric, is_first));
    }
}

/// The stream of an evaluation, its updates numbered from 1. Dropping the stream stops the evaluation.
pub(super) fn follow(
    evaluating: UploadEvaluation,
    updates: UnboundedReceiver<EvaluationUpdate>,
    shutdown: CancellationToken,
) -> EventStream<EvaluationUpdate> {
    let updates = stream::unfold(updates, |mut updates| async { Some((updates.recv().await?, updates)) });
    let updates = updates.take_until(shutdown.clone().cancelled_owned());
    let end = stream::once(async move {
        // Graceful shutdown waits for open streams, so a stream must not wait for its evaluation.
        let ended = shutdown.run_until_cancelled(AssertUnwindSafe(evaluating.finish()).catch_unwind()).await;
        let outcome = match ended {
            None | Some(Ok(None)) => Err(Problem::stopping()),
            Some(Ok(Some(outcome))) => outcome.map_err(Problem::from),
            Some(Err(panic)) => Err(Problem::panicked(&*panic)),
        };
        outcome.map_or_else(|problem| failed(&problem), EvaluationUpdate::done)
    });
    let numbered = updates.chain(end).enumerate().map(|(at, update)| ((at + 1).to_string(), update));
    EventStream::new(numbered)
}

/// The last update of a failed evaluation; logs the cause if the fault is the service's.
fn failed(problem: &Problem) -> EvaluationUpdate {
    if let Some(cause) = problem.cause() {
        error!("an evaluation that was followed failed: {cause:#}");
    }
    EvaluationUpdate::failed(problem)
}
