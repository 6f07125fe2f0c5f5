//! Telling of an evaluation while it goes on.

use std::collections::HashSet;
use std::panic::AssertUnwindSafe;
use std::sync::{Mutex, PoisonError};

use futures_util::{FutureExt, StreamExt, stream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_util::sync::CancellationToken;
use tracing::error;

use crate::api::answer::EvaluationEvent;
use crate::api::event_stream::EventStream;
use crate::api::problem::Problem;
use crate::evaluation::{Evaluator, Observer, UnitPlace, UnitReport};
use crate::extraction::Conversation;
use crate::uploads::UploadEvaluation;

/// Turns what it observes into events.
pub(super) struct ProgressReporter {
    events: UnboundedSender<EvaluationEvent>,
    /// Units of which a metric was told.
    begun: Mutex<HashSet<usize>>,
}

impl ProgressReporter {
    /// One with the events it tells. They are not more than what comes out in the end, so they may pile up while
    /// their reader is slow.
    pub(super) fn new() -> (Self, UnboundedReceiver<EvaluationEvent>) {
        let (sender, receiver) = unbounded_channel();
        (Self { events: sender, begun: Mutex::default() }, receiver)
    }

    fn tell(&self, event: EvaluationEvent) {
        let _ = self.events.send(event); // nobody listens any more when the client has gone
    }
}

/// How much of a group's key is told.
const KEY_SHOWN: usize = 12;

impl Observer for ProgressReporter {
    fn grouped(&self, total: usize) {
        let plural = if total == 1 { "" } else { "s" };
        self.tell(EvaluationEvent::message(format!("evaluating {total} trace{plural}")));
    }

    fn extracted(
        &self,
        UnitPlace { index, total }: UnitPlace,
        unit: &UnitReport,
        conversation: &Conversation,
    ) {
        self.tell(EvaluationEvent::extracted(unit, conversation));
        let key: String = unit.group_key.chars().take(KEY_SHOWN).collect();
        self.tell(EvaluationEvent::message(format!("trace {}/{total}: {key}", index + 1)));
    }

    fn metric_started(&self, _: UnitPlace, evaluator: &Evaluator) {
        self.tell(EvaluationEvent::message(format!("running {}", evaluator.name)));
    }

    fn metric_done(&self, place: UnitPlace, unit: &UnitReport, metric: usize) {
        let is_first = self.begun.lock().unwrap_or_else(PoisonError::into_inner).insert(place.index);
        self.tell(EvaluationEvent::metric_done(unit, metric, is_first));
    }
}

/// The events of an evaluation, numbered from 1. The evaluation stops when nobody reads them any more.
pub(super) fn follow(
    evaluating: UploadEvaluation,
    events: UnboundedReceiver<EvaluationEvent>,
    shutdown: CancellationToken,
) -> EventStream<EvaluationEvent> {
    let told = stream::unfold(events, |mut events| async { Some((events.recv().await?, events)) });
    let told = told.take_until(shutdown.clone().cancelled_owned());
    let end = stream::once(async move {
        // Graceful shutdown waits for open streams, so they do not wait for evaluations.
        let ended = shutdown.run_until_cancelled(AssertUnwindSafe(evaluating.finish()).catch_unwind()).await;
        let outcome = match ended {
            None | Some(Ok(None)) => Err(Problem::stopping()),
            Some(Ok(Some(outcome))) => outcome.map_err(Problem::from),
            Some(Err(panic)) => Err(Problem::panicked(&*panic)),
        };
        outcome.map_or_else(|problem| failed(&problem), EvaluationEvent::done)
    });
    let numbered = told.chain(end).enumerate().map(|(at, event)| ((at + 1).to_string(), event));
    EventStream::new(numbered)
}

/// The last event; what is our fault is logged here, once.
fn failed(problem: &Problem) -> EvaluationEvent {
    if let Some(cause) = problem.cause() {
        error!("an evaluation that was followed failed: {cause:#}");
    }
    EvaluationEvent::failed(problem)
}
