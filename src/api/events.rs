//! Following runs: what happened and what happens, as server-sent events.

use std::time::Duration;

use futures_util::{StreamExt, future};
use poem_openapi::{ApiResponse, OpenApi};
use tokio_util::sync::CancellationToken;

use super::answer::{EventAnswer, Named};
use super::cursor::PageCursor;
use super::event_stream::EventStream;
use super::params::{Header, Query, RunPath};
use super::problem::{Failed, Failures};
use super::runs::found;
use super::tags::Tag;
use super::values::Label;
use crate::runs::model::RunStatus;
use crate::runs::service::RunService;
use crate::runs::store::{FeedEvent, FeedPosition, StoreError};

/// The resource `events`.
pub(super) struct EventsApi {
    /// What does the work.
    pub(super) service: RunService,
    /// Ends the streams when the service stops.
    pub(super) shutdown: CancellationToken,
}

/// The events of one run.
#[derive(ApiResponse)]
enum Watched {
    /// The events after the one named, then those to come; ends after the last one of a run.
    #[oai(status = 200)]
    Events(EventStream<EventAnswer>),
    /// The run is over and the client has seen all its events, so it need not connect again.
    #[oai(status = 204)]
    Over,
}

/// The events of all runs.
#[derive(ApiResponse)]
enum AllWatched {
    /// The events after the one named, or from now on.
    #[oai(status = 200)]
    Events(EventStream<EventAnswer>),
}

struct Watching;

impl Failures for Watching {
    const STATUSES: &'static [u16] = &[404, 422];
}

struct WatchingAll;

impl Failures for WatchingAll {
    const STATUSES: &'static [u16] = &[422];
}

/// How long the events of a finished run may take to be read; the client is better off coming back.
const FIRST_EVENT: Duration = Duration::from_secs(10);

#[OpenApi(tag = "Tag::Events")]
impl EventsApi {
    /// Follow a run
    ///
    /// Server-sent events: first those that happened, then those that happen, each once and in order. After a lost
    /// connection the client names the last one it saw and misses none. An idle stream sends a comment every 15
    /// seconds. The stream ends with the run; one who connects again after that is answered 204, which makes an
    /// `EventSource` stop.
    #[oai(path = "/api/runs/:runId/events", method = "get", operation_id = "watch_run")]
    async fn watch_run(
        &self,
        /// The run.
        #[oai(name = "runId")]
        run_id: RunPath,
        /// `id` of the last event seen.
        #[oai(name = "Last-Event-ID")]
        last_seen: Header<Option<u32>>,
        /// The same, for clients that cannot set headers; the header goes first.
        #[oai(name = "lastEventId")]
        last_seen_query: Query<Option<u32>>,
    ) -> Result<Watched, Failed<Watching>> {
        let run = found(run_id, self.service.run(run_id.0).await)?;
        let after = last_seen.0.or(last_seen_query.0).unwrap_or_default();
        let mut events = Box::pin(self.service.watch(&run, after).peekable());
        if run.status.is_terminal() {
            let first = tokio::time::timeout(FIRST_EVENT, events.as_mut().peek()).await;
            match first.map_err(|_| StoreError::Unavailable("its events cannot be read now".into()))? {
                Some(_) => {}
                None => return Ok(Watched::Over),
            }
        }
        let events = events.map(|event| (event.seq.to_string(), EventAnswer::from(event)));
        Ok(Watched::Events(EventStream::resumable(events, &self.shutdown)))
    }

    /// Follow all runs
    ///
    /// Server-sent events of all runs, from now on or after the last one seen. The `id` of an event is opaque here.
    #[oai(path = "/api/runs/events", method = "get", operation_id = "watch_runs")]
    async fn watch_runs(
        &self,
        /// Events that put a run in this status; repeat it for several.
        status: Query<Vec<Named<RunStatus>>>,
        /// Events of runs with this label, as `key=value`; repeat it for several, which must all be there.
        label: Query<Vec<Label>>,
        /// `id` of the last event seen.
        #[oai(name = "Last-Event-ID")]
        last_seen: Header<Option<PageCursor<FeedPosition>>>,
        /// The same, for clients that cannot set headers; the header goes first.
        #[oai(name = "lastEventId")]
        last_seen_query: Query<Option<PageCursor<FeedPosition>>>,
    ) -> Result<AllWatched, Failed<WatchingAll>> {
        let after = last_seen.0.or(last_seen_query.0).map(|PageCursor(position)| position);
        let events = self.service.watch_all(after).await?;
        let events = events.filter(move |event| future::ready(is_wanted(event, &status.0, &label.0)));
        let events = events.map(|FeedEvent { position, event, .. }| {
            (PageCursor(position).to_string(), EventAnswer::from(event))
        });
        Ok(AllWatched::Events(EventStream::resumable(events, &self.shutdown)))
    }
}

fn is_wanted(
    FeedEvent { event, labels, .. }: &FeedEvent,
    statuses: &[Named<RunStatus>],
    wanted: &[Label],
) -> bool {
    let has = |label: &Label| labels.get(&label.key) == Some(&label.value);
    (statuses.is_empty() || statuses.contains(&Named(event.kind.status()))) && wanted.iter().all(has)
}
