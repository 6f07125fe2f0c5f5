//! Following runs by server-sent events.

use std::time::Duration;

use futures_util::{StreamExt, future};
use poem_openapi::{ApiResponse, OpenApi};
use tokio_util::sync::CancellationToken;

use super::answer::{EventAnswer, Named};
use super::cursor::PageCursor;
use super::event_stream::EventStream;
use super::params::{Header, Query, RunPath};
use super::problem::{Failed, failures};
use super::runs::found;
use super::tags::Tag;
use super::values::Label;
use crate::runs::{FeedEvent, FeedPosition, RunService, RunStatus, StoreError};

/// The resource `events`.
pub(super) struct EventsApi {
    /// The service behind the API.
    pub(super) service: RunService,
    /// Ends the streams when the service stops.
    pub(super) shutdown: CancellationToken,
}

/// The events of one run.
#[derive(ApiResponse)]
enum Watched {
    /// The stored events after the last one seen, then new ones; ends after the last event of the run.
    #[oai(status = 200)]
    Events(EventStream<EventAnswer>),
    /// The run is over and the client has seen all its events: it need not connect again.
    #[oai(status = 204)]
    Over,
}

/// The events of all runs.
#[derive(ApiResponse)]
enum AllWatched {
    /// The events after the last one seen, or from now on.
    #[oai(status = 200)]
    Events(EventStream<EventAnswer>),
}

failures! {
    Watching: [404, 422], "Failures of following one run.";
    WatchingAll: [422], "Failures of following all runs.";
}

/// Longest wait for the first event of a finished run; afterwards the client is asked to come back.
const FIRST_EVENT: Duration = Duration::from_secs(10);

#[OpenApi(tag = "Tag::Events")]
impl EventsApi {
    /// Follow a run
    ///
    /// Streams the events of a run as server-sent events: first the stored ones, then new ones as they happen, each
    /// once and in order. After a lost connection the client sends the id of the last event it saw and misses none. An
    /// idle stream sends a comment every 15 seconds. The stream ends with the run. A client that connects again after
    /// that gets 204, which makes an `EventSource` stop.
    #[oai(path = "/api/runs/:runId/events", method = "get", operation_id = "watch_run")]
    async fn watch_run(
        &self,
        /// Id of the run.
        #[oai(name = "runId")]
        run_id: RunPath,
        /// `id` of the last event seen.
        #[oai(name = "Last-Event-ID")]
        last_seen: Header<Option<u32>>,
        /// The same as `Last-Event-ID`, for clients that cannot set headers; the header takes precedence.
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
    /// Streams the events of all runs as server-sent events, from now on or after the last one seen. The `id` of an event
    /// is opaque here.
    #[oai(path = "/api/runs/events", method = "get", operation_id = "watch_runs")]
    async fn watch_runs(
        &self,
        /// Only events that put a run in this status; may be repeated.
        status: Query<Vec<Named<RunStatus>>>,
        /// Only events of runs with this label, as `key=value`; may be repeated, then runs must have all of them.
        label: Query<Vec<Label>>,
        /// `id` of the last event seen.
        #[oai(name = "Last-Event-ID")]
        last_seen: Header<Option<PageCursor<FeedPosition>>>,
        /// The same as `Last-Event-ID`, for clients that cannot set headers; the header takes precedence.
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
