//! Sends events to watchers: stored ones first, then new ones as hints announce them. A watcher gets every event once,
//! also when it goes on at another process.
//!
//! One task per process serves all watchers. A hint marks runs as changed; one query reads the new events of all
//! changed runs that have watchers, while further hints collect for the next query. The task drops a watcher that does
//! not keep up, which can watch again from the last event it saw, and watchers of a deleted run.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tracing::warn;

use super::error::StoreError;
use super::event::RunEvent;
use super::feed::{Events, FeedEvent, FeedPosition};
use super::hints::{Hint, HintReceiver, Hints};
use crate::ids::RunId;

/// Events that may wait for one watcher: more than a large run has results.
const WATCHER_CAPACITY: usize = 4096;

/// Events read by one query.
const READ_LIMIT: usize = 4000;

/// Pause before a failed read is repeated, and before withheld events of the feed are looked for again.
const RETRY: Duration = Duration::from_millis(100);

/// Interval of looking at all watched runs, should all hints be lost.
const FALLBACK: Duration = Duration::from_secs(15);

/// Serves the watchers of one process.
#[derive(Debug, Clone)]
pub(super) struct Hub(mpsc::UnboundedSender<Join>);

/// A watcher that joins.
#[derive(Debug)]
enum Join {
    Run(RunId, Watcher<u32, RunEvent>),
    Feed(Watcher<FeedPosition, FeedEvent>),
}

/// The last position that a watcher was sent, and its channel.
#[derive(Debug)]
struct Watcher<P, E> {
    after: P,
    events: mpsc::Sender<E>,
}

impl<P: PartialOrd + Copy, E> Watcher<P, E> {
    /// Sends an event unless it was sent before; returns whether the watcher keeps up.
    fn send(&mut self, position: P, event: E) -> bool {
        if position <= self.after {
            return true;
        }
        self.after = position;
        self.events.try_send(event).is_ok()
    }
}

impl Hub {
    /// Starts the task; it ends when the last handle is gone.
    pub(super) fn spawn(store: Arc<dyn Events>, hints: &Hints) -> Self {
        let (sender, joins) = mpsc::unbounded_channel();
        let task = HubTask {
            store,
            hints: hints.subscribe(),
            joins,
            runs: HashMap::new(),
            changed: HashSet::new(),
            feed: Vec::new(),
            has_feed_changed: false,
            look_at: Instant::now() + FALLBACK,
            retry_at: None,
        };
        tokio::spawn(task.serve());
        Self(sender)
    }

    /// Events of a run that is not finished, after number `after`; ends after the last one.
    pub(super) fn watch(&self, run: RunId, after: u32) -> ReceiverStream<RunEvent> {
        let (events, receiver) = mpsc::channel(WATCHER_CAPACITY);
        let _ = self.0.send(Join::Run(run, Watcher { after, events })); // without the task, the stream ends at once
        ReceiverStream::new(receiver)
    }

    /// Events of all runs after a position.
    pub(super) fn watch_all(&self, after: FeedPosition) -> ReceiverStream<FeedEvent> {
        let (events, receiver) = mpsc::channel(WATCHER_CAPACITY);
        let _ = self.0.send(Join::Feed(Watcher { after, events }));
        ReceiverStream::new(receiver)
    }
}

/// The task that serves the watchers of a [`Hub`].
struct HubTask {
    store: Arc<dyn Events>,
    hints: HintReceiver,
    joins: mpsc::UnboundedReceiver<Join>,
    runs: HashMap<RunId, Vec<Watcher<u32, RunEvent>>>,
    /// Watched runs that may have new events.
    changed: HashSet<RunId>,
    feed: Vec<Watcher<FeedPosition, FeedEvent>>,
    has_feed_changed: bool,
    /// When to look at all watched runs although no hint came.
    look_at: Instant,
    /// When to repeat a failed read, or to look again for withheld events.
    retry_at: Option<Instant>,
}

impl HubTask {
    async fn serve(mut self) {
        loop {
            tokio::select! {
                join = self.joins.recv() => match join {
                    Some(join) => self.join(join),
                    None => return,
                },
                hint = self.hints.next() => self.note(&hint),
                () = tokio::time::sleep_until(self.retry_at.unwrap_or(self.look_at)) => {}
            }
            while let Ok(join) = self.joins.try_recv() {
                self.join(join);
            }
            while let Some(hint) = self.hints.next().now_or_never() {
                self.note(&hint);
            }
            if self.look_at <= Instant::now() {
                self.note(&Hint::All);
                self.look_at = Instant::now() + FALLBACK;
            }
            self.retry_at = None;
            if let Err(error) = self.send_news().await {
                warn!("events could not be read: {error}");
                self.retry_at = Some(Instant::now() + RETRY);
            }
        }
    }

    fn join(&mut self, join: Join) {
        match join {
            Join::Run(run, watcher) => {
                self.runs.entry(run).or_default().push(watcher);
                self.changed.insert(run);
            }
            Join::Feed(watcher) => {
                self.feed.push(watcher);
                self.has_feed_changed = true;
            }
        }
    }

    fn note(&mut self, hint: &Hint) {
        match hint {
            Hint::Events(runs) => {
                self.has_feed_changed = true;
                self.changed.extend(runs.iter().filter(|run| self.runs.contains_key(run)));
            }
            Hint::All => {
                self.drop_closed();
                self.has_feed_changed = true;
                self.changed.extend(self.runs.keys());
            }
            Hint::Due(_) | Hint::Cancel(_) | Hint::Messages => {}
        }
    }

    /// Drops watchers whose reader has gone away.
    fn drop_closed(&mut self) {
        self.feed.retain(|watcher| !watcher.events.is_closed());
        self.runs.retain(|_, watchers| {
            watchers.retain(|watcher| !watcher.events.is_closed());
            !watchers.is_empty()
        });
    }

    /// Sends new events to all watchers.
    async fn send_news(&mut self) -> Result<(), StoreError> {
        while !self.changed.is_empty() {
            self.send_run_events().await?;
        }
        if self.has_feed_changed && !self.feed.is_empty() {
            self.send_feed().await?;
        }
        Ok(())
    }

    /// Reads new events of the changed runs, in one query, and sends them to the watchers of each.
    async fn send_run_events(&mut self) -> Result<(), StoreError> {
        let earliest = |run: &RunId| self.runs.get(run)?.iter().map(|watcher| watcher.after).min();
        let wanted: Vec<_> = self.changed.iter().filter_map(|run| Some((*run, earliest(run)?))).collect();
        if wanted.is_empty() {
            self.changed.clear();
            return Ok(());
        }
        // One more than are sent, to see whether the last one sent is the last of its run.
        let events = self.store.events(&wanted, READ_LIMIT + 1).await?;
        let is_whole = events.len() <= READ_LIMIT;
        let with_news: HashSet<RunId> = events.iter().map(|event| event.run).collect();
        let mut events = events.into_iter().peekable();
        for _ in 0..READ_LIMIT {
            let Some(event) = events.next() else { break };
            let run = event.run;
            let is_end =
                event.kind.status().is_terminal() && events.peek().is_none_or(|next| next.run != run);
            let Some(watchers) = self.runs.get_mut(&run) else { continue };
            watchers.retain_mut(|watcher| watcher.send(event.seq, event.clone()));
            if is_end || watchers.is_empty() {
                self.runs.remove(&run);
            }
        }
        if is_whole {
            // A changed run without new events may have been deleted. It stays in `changed` until that is known, so
            // that the question is repeated when it fails.
            self.changed =
                wanted.into_iter().map(|(run, _)| run).filter(|run| !with_news.contains(run)).collect();
            self.drop_deleted().await?;
            self.changed.clear();
        }
        Ok(())
    }

    /// Drops the watchers of those changed runs that do not exist any more.
    async fn drop_deleted(&mut self) -> Result<(), StoreError> {
        if self.changed.is_empty() {
            return Ok(());
        }
        let runs: Vec<_> = self.changed.iter().copied().collect();
        for run in self.store.missing(&runs).await? {
            self.runs.remove(&run);
        }
        Ok(())
    }

    /// Reads a page of the feed and sends it to its watchers.
    async fn send_feed(&mut self) -> Result<(), StoreError> {
        let Some(after) = self.feed.iter().map(|watcher| watcher.after).min() else { return Ok(()) };
        let page = self.store.feed(after, READ_LIMIT).await?;
        self.has_feed_changed = page.has_more;
        for event in &page.events {
            self.feed.retain_mut(|watcher| watcher.send(event.position, event.clone()));
        }
        if page.has_more {
            // After an empty page, wait: older transactions still run, whose events come first. Else read on at once,
            // but from the loop, so that watchers of single runs get their turn.
            let pause = if page.events.is_empty() { RETRY } else { Duration::ZERO };
            self.retry_at = Some(Instant::now() + pause);
        }
        Ok(())
    }
}
