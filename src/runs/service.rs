//! What can be asked of runs: the API and the command line call this, whatever the storage.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{Stream, StreamExt, stream};
use tracing::warn;

use super::batch::Batcher;
use super::hints::Hints;
use super::model::{NewRun, Run, RunEvent, StoredResult, Submitted};
use super::store::{
    Deletion, FeedEvent, FeedPosition, Result, ResultFilter, Retried, RunFilter, RunStore, StoreError,
};
use super::watch::Hub;
use crate::ids::RunId;

/// Events read at a time when a finished run is replayed.
const REPLAY_PAGE: usize = 1000;

/// How soon a failed read of a replay is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// The runs of one process's storage.
#[derive(Clone)]
pub struct RunService {
    store: Arc<dyn RunStore>,
    submissions: Batcher<NewRun, Result<Submitted>>,
    hub: Hub,
}

impl RunService {
    /// Starts the tasks that group submissions and serve watchers; they end with the last clone.
    pub fn new(store: Arc<dyn RunStore>, hints: &Hints) -> Self {
        let submitting = store.clone();
        let submissions = Batcher::spawn(
            |run: &NewRun| run.spec.len(),
            move |runs| {
                let store = submitting.clone();
                async move { submit_together(&*store, runs).await }
            },
        );
        let hub = Hub::spawn(store.clone(), hints);
        Self { store, submissions, hub }
    }

    /// Stores a run durably and wakes a worker. The same work submitted again under the same id or key is the run
    /// that was stored; other work under it is a conflict.
    ///
    /// # Errors
    /// `Unavailable`: it may or may not have been stored; submit it again. `Full`.
    pub async fn submit(&self, run: NewRun) -> Result<Submitted> {
        let answer = self.submissions.send(run).await;
        answer
            .await
            .unwrap_or_else(|_| Err(StoreError::Unavailable("it was not answered; submit it again".into())))
    }

    /// A run by its id.
    ///
    /// # Errors
    /// Those of the storage.
    pub async fn run(&self, id: RunId) -> Result<Option<Run>> {
        self.store.run(id).await
    }

    /// A run's specification, as it was submitted.
    ///
    /// # Errors
    /// Those of the storage.
    pub async fn spec(&self, id: RunId) -> Result<Option<String>> {
        self.store.spec(id).await
    }

    /// Runs, newest first.
    ///
    /// # Errors
    /// Those of the storage.
    pub async fn list(&self, filter: &RunFilter) -> Result<Vec<Run>> {
        self.store.list(filter).await
    }

    /// Results of a run, by place; `None` when there is no such run.
    ///
    /// # Errors
    /// Those of the storage.
    pub async fn results(&self, id: RunId, filter: &ResultFilter) -> Result<Option<Vec<StoredResult>>> {
        let results = self.store.results(id, filter).await?;
        if results.is_empty() && self.store.run(id).await?.is_none() {
            return Ok(None);
        }
        Ok(Some(results))
    }

    /// Ends a queued run at once and asks for a running one to be stopped; `None` when there is no such run.
    ///
    /// # Errors
    /// Those of the storage.
    pub async fn cancel(&self, id: RunId) -> Result<Option<Run>> {
        self.store.cancel(id).await
    }

    /// Queues a failed or cancelled run again; `None` when there is no such run.
    ///
    /// # Errors
    /// Those of the storage.
    pub async fn retry(&self, id: RunId) -> Result<Option<Retried>> {
        self.store.retry(id).await
    }

    /// Deletes a finished run with all that belongs to it; `None` when there is no such run. Its id and key are free
    /// again.
    ///
    /// # Errors
    /// Those of the storage.
    pub async fn delete(&self, id: RunId) -> Result<Option<Deletion>> {
        self.store.delete(id).await
    }

    /// The run once it is terminal, or as it stands when patience is over; `None` when there is no such run.
    ///
    /// # Errors
    /// Those of the storage.
    pub async fn wait(&self, id: RunId, patience: Duration) -> Result<Option<Run>> {
        let Some(run) = self.store.run(id).await?.filter(|run| !run.status.is_terminal()) else {
            return self.store.run(id).await;
        };
        let end = self.watch(&run, 0).for_each(|_| std::future::ready(()));
        let _ = tokio::time::timeout(patience, end).await;
        self.store.run(id).await
    }

    /// Events of a run after number `after`: those stored, then those to come. Ends after the last event of a
    /// finished run or when it is deleted, and early when the reader does not keep up; it resumes with the number it saw
    /// last.
    pub fn watch(&self, run: &Run, after: u32) -> impl Stream<Item = RunEvent> + Send + use<> {
        match run.status.is_terminal() {
            true => self.replay(run.id, after).left_stream(),
            false => self.hub.watch(run.id, after).right_stream(),
        }
    }

    /// The stored events of a run; ends when they do. While they cannot be read it waits, since an end would say that
    /// there are no more.
    fn replay(&self, run: RunId, after: u32) -> impl Stream<Item = RunEvent> + Send + use<> {
        let store = self.store.clone();
        let pages = stream::unfold(Some(after), move |after| {
            let store = store.clone();
            async move {
                let after = after?;
                let page = match store.events(&[(run, after)], REPLAY_PAGE).await {
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

    /// Events of all runs: after a position, or from now on. A position that was never handed out, such as one from
    /// before a service that keeps runs in memory was started again, means all events there are.
    ///
    /// # Errors
    /// Those of the storage.
    pub async fn watch_all(
        &self,
        after: Option<FeedPosition>,
    ) -> Result<impl Stream<Item = FeedEvent> + Send + use<>> {
        let end = self.store.feed_end().await?;
        let after = match after {
            None => end,
            Some(after) if after <= end => after,
            // Of another life of this storage: what was seen then says nothing about now.
            Some(_) => FeedPosition::START,
        };
        Ok(self.hub.watch_all(after))
    }

    /// Answers when the storage can be used.
    ///
    /// # Errors
    /// Those of the storage.
    pub async fn check(&self) -> Result<()> {
        self.store.check().await
    }
}

/// Submits a group; when it fails for another reason than an outage, each on its own, so that one run that cannot
/// be stored does not cost the others.
async fn submit_together(store: &dyn RunStore, runs: Vec<NewRun>) -> Vec<Result<Submitted>> {
    match store.submit(&runs).await {
        Ok(submitted) => submitted.into_iter().map(Ok).collect(),
        Err(StoreError::Other(error)) if runs.len() == 1 => vec![Err(StoreError::Other(error))],
        Err(StoreError::Unavailable(why)) => {
            runs.iter().map(|_| Err(StoreError::Unavailable(why.clone()))).collect()
        }
        Err(StoreError::Full(_) | StoreError::Other(_)) => {
            let mut results = Vec::with_capacity(runs.len());
            for run in runs {
                let result = store.submit(std::slice::from_ref(&run)).await;
                let missing = || StoreError::Other(anyhow::anyhow!("no answer for run `{}`", run.id));
                results.push(result.and_then(|mut one| one.pop().ok_or_else(missing)));
            }
            results
        }
    }
}
