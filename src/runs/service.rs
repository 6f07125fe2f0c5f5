//! The service for runs, which the API and the command line call: submit, read, cancel, retry, delete, watch.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{Stream, StreamExt, stream};
use tracing::warn;

use super::error::{StoreError, StoreResult};
use super::event::RunEvent;
use super::feed::{Events, FeedEvent, FeedPosition};
use super::hints::Hints;
use super::model::{Run, Submitted};
use super::port::{ResultFilter, Retried, RunFilter, Runs};
use super::result::StoredResult;
use super::retention::{Deletion, Retention};
use super::watch::Hub;
use crate::batch::Batcher;
use crate::ids::RunId;
use crate::spec::Submission;

/// Events read at a time when a finished run is replayed.
const REPLAY_PAGE: usize = 1000;

/// How soon a failed read of a replay is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// Runs in the storage of this process.
#[derive(Clone)]
pub struct RunService {
    runs: Arc<dyn Runs>,
    events: Arc<dyn Events>,
    retention: Arc<dyn Retention>,
    submissions: Batcher<Submission, StoreResult<Submitted>>,
    hub: Hub,
}

impl RunService {
    /// Starts the tasks that group submissions and serve watchers; they end with the last clone.
    pub fn new(
        runs: Arc<dyn Runs>,
        events: Arc<dyn Events>,
        retention: Arc<dyn Retention>,
        hints: &Hints,
    ) -> Self {
        let store = runs.clone();
        let submissions = Batcher::spawn(
            |submission: &Submission| submission.spec.len(),
            move |submissions| {
                let store = store.clone();
                async move { submit_together(&*store, submissions).await }
            },
        );
        let hub = Hub::spawn(events.clone(), hints);
        Self { runs, events, retention, submissions, hub }
    }

    /// Stores a run durably and wakes a worker. Submitting the same work again under the same id or key returns the
    /// stored run; other work under that id or key is a conflict.
    ///
    /// # Errors
    /// `Unavailable`: the run may or may not be stored; submit it again. `Full`.
    pub async fn submit(&self, submission: Submission) -> StoreResult<Submitted> {
        let answer = self.submissions.send(submission).await;
        answer
            .await
            .unwrap_or_else(|_| Err(StoreError::Unavailable("it was not answered; submit it again".into())))
    }

    /// A run by its id.
    ///
    /// # Errors
    /// Those of the storage.
    pub async fn run(&self, id: RunId) -> StoreResult<Option<Run>> {
        self.runs.run(id).await
    }

    /// A run's specification, as it was submitted.
    ///
    /// # Errors
    /// Those of the storage.
    pub async fn spec(&self, id: RunId) -> StoreResult<Option<String>> {
        self.runs.spec(id).await
    }

    /// A page of runs, newest first.
    ///
    /// # Errors
    /// Those of the storage.
    pub async fn list(&self, filter: &RunFilter) -> StoreResult<Vec<Run>> {
        self.runs.list(filter).await
    }

    /// A page of the results of a run, by place; `None` when there is no such run.
    ///
    /// # Errors
    /// Those of the storage.
    pub async fn results(&self, id: RunId, filter: &ResultFilter) -> StoreResult<Option<Vec<StoredResult>>> {
        let results = self.runs.results(id, filter).await?;
        self.unless_unknown(id, results).await
    }

    /// Cancels a queued run at once and requests the cancellation of a running one; `None` when there is no such run.
    ///
    /// # Errors
    /// Those of the storage.
    pub async fn cancel(&self, id: RunId) -> StoreResult<Option<Run>> {
        self.runs.cancel(id).await
    }

    /// Queues a failed or cancelled run again; `None` when there is no such run.
    ///
    /// # Errors
    /// Those of the storage.
    pub async fn retry(&self, id: RunId) -> StoreResult<Option<Retried>> {
        self.runs.retry(id).await
    }

    /// The rows `found` of a run; `None` if there are none and there is no such run.
    pub(crate) async fn unless_unknown<T>(&self, id: RunId, found: Vec<T>) -> StoreResult<Option<Vec<T>>> {
        let is_known = !found.is_empty() || self.runs.run(id).await?.is_some();
        Ok(is_known.then_some(found))
    }

    /// Deletes a finished run with its results, events and messages; `None` when there is no such run. Its id and key
    /// can be used again.
    ///
    /// # Errors
    /// Those of the storage.
    pub async fn delete(&self, id: RunId) -> StoreResult<Option<Deletion>> {
        self.retention.delete(id).await
    }

    /// Waits until a run is terminal, at most for `patience`, and returns it in its state by then; `None` when there is
    /// no such run.
    ///
    /// # Errors
    /// Those of the storage.
    pub async fn wait(&self, id: RunId, patience: Duration) -> StoreResult<Option<Run>> {
        let Some(run) = self.runs.run(id).await?.filter(|run| !run.status.is_terminal()) else {
            return self.runs.run(id).await;
        };
        let end = self.watch(&run, 0).for_each(|_| std::future::ready(()));
        let _ = tokio::time::timeout(patience, end).await;
        self.runs.run(id).await
    }

    /// Events of a run after number `after`: the stored ones, then new ones. The stream ends after the last event of a
    /// finished run and when the run is deleted. It also ends when the reader does not keep up; such a reader watches
    /// again from the last number it saw.
    pub fn watch(&self, run: &Run, after: u32) -> impl Stream<Item = RunEvent> + Send + use<> {
        match run.status.is_terminal() {
            true => self.replay(run.id, after).left_stream(),
            false => self.hub.watch(run.id, after).right_stream(),
        }
    }

    /// The stored events of a run. While they cannot be read the stream waits, because its end would mean that there
    /// are no more.
    fn replay(&self, run: RunId, after: u32) -> impl Stream<Item = RunEvent> + Send + use<> {
        let events = self.events.clone();
        let pages = stream::unfold(Some(after), move |after| {
            let events = events.clone();
            async move {
                let after = after?;
                let page = match events.events(&[(run, after)], REPLAY_PAGE).await {
                    Ok(page) => page,
                    Err(error) => {
                        warn!(run.id = %run, "events of run `{run}` could not be read; trying again: {error}");
                        tokio::time::sleep(RETRY).await;
                        return Some((stream::iter(Vec::new()), Some(after)));
                    }
                };
                let next = page.last().filter(|_| page.len() == REPLAY_PAGE).map(|event| event.seq);
                Some((stream::iter(page), next))
            }
        });
        pages.flatten()
    }

    /// Events of all runs: after a position, or from now on. A position beyond the end of the feed means all events: a
    /// service that keeps runs in memory handed it out before it was restarted.
    ///
    /// # Errors
    /// Those of the storage.
    pub async fn watch_all(
        &self,
        after: Option<FeedPosition>,
    ) -> StoreResult<impl Stream<Item = FeedEvent> + Send + use<>> {
        let end = self.events.feed_end().await?;
        let after = match after {
            None => end,
            Some(after) if after <= end => after,
            Some(_) => FeedPosition::START, // the storage was emptied since; none of its events were seen
        };
        Ok(self.hub.watch_all(after))
    }

    /// Succeeds if storage can be reached and has the schema that this program needs.
    ///
    /// # Errors
    /// Those of the storage.
    pub async fn check(&self) -> StoreResult<()> {
        self.runs.check().await
    }
}

/// Submits a group of runs. If that fails for another reason than an outage, submits each run on its own, so that one
/// run that cannot be stored does not fail the others.
async fn submit_together(store: &dyn Runs, submissions: Vec<Submission>) -> Vec<StoreResult<Submitted>> {
    match store.submit(&submissions).await {
        Ok(submitted) => submitted.into_iter().map(Ok).collect(),
        Err(StoreError::Other(error)) if submissions.len() == 1 => vec![Err(StoreError::Other(error))],
        Err(StoreError::Unavailable(why)) => {
            submissions.iter().map(|_| Err(StoreError::Unavailable(why.clone()))).collect()
        }
        Err(StoreError::Full(_) | StoreError::Other(_)) => {
            let mut results = Vec::with_capacity(submissions.len());
            for submission in submissions {
                let result = store.submit(std::slice::from_ref(&submission)).await;
                let missing = || StoreError::Other(anyhow::anyhow!("no answer for run `{}`", submission.id));
                results.push(result.and_then(|mut one| one.pop().ok_or_else(missing)));
            }
            results
        }
    }
}
