//! Server-sent events as answers.

use std::marker::PhantomData;
use std::time::Duration;

use futures_util::{Stream, StreamExt, stream};
use poem::web::sse::{Event, SSE};
use poem::{IntoResponse, Response};
use poem_openapi::payload::Payload;
use poem_openapi::registry::{MetaSchema, MetaSchemaRef, Registry};
use poem_openapi::types::Type;
use serde::Serialize;
use tokio_util::sync::CancellationToken;
use tracing::error;

use super::answer::Described;

/// Pause after which an idle stream sends a comment, so that proxies keep the connection open.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Milliseconds that a client waits before it connects again.
const RECONNECT_MS: u64 = 2000;

/// The data of an event.
pub(super) trait StreamEvent: Serialize + Type {
    /// The `event` field; empty to leave it out.
    fn name(&self) -> &'static str;
}

/// An answer of events, sent as they happen.
pub(super) struct EventStream<T> {
    stream: SSE,
    described: Described<T>,
}

impl<T: StreamEvent + 'static> EventStream<T> {
    /// A stream of events with their ids.
    pub(super) fn new(events: impl Stream<Item = (String, T)> + Send + 'static) -> Self {
        Self::of(messages(events))
    }

    /// A stream that clients continue behind the last id they saw. It ends with `events`, or when the service stops,
    /// because graceful shutdown waits for open streams.
    pub(super) fn resumable(
        events: impl Stream<Item = (String, T)> + Send + 'static,
        shutdown: &CancellationToken,
    ) -> Self {
        let messages = stream::iter([Event::retry(RECONNECT_MS)]).chain(messages(events));
        Self::of(messages.take_until(shutdown.clone().cancelled_owned()))
    }

    fn of(messages: impl Stream<Item = Event> + Send + 'static) -> Self {
        Self { stream: SSE::new(messages).keep_alive(KEEP_ALIVE), described: PhantomData }
    }
}

/// Encodes events; ends at one that cannot be encoded, since clients would not notice the gap.
fn messages<T: StreamEvent>(events: impl Stream<Item = (String, T)>) -> impl Stream<Item = Event> {
    let messages = events.map(|(id, event)| message(id, &event));
    messages.take_while(|message| std::future::ready(message.is_some())).filter_map(std::future::ready)
}

fn message(id: String, event: &impl StreamEvent) -> Option<Event> {
    let data = serde_json::to_string(event);
    let data = data.map_err(|error| error!("event `{id}` cannot be written: {error}")).ok()?;
    Some(Event::message(data).id(id).event_type(event.name()))
}

impl<T: StreamEvent> Payload for EventStream<T> {
    const CONTENT_TYPE: &'static str = "text/event-stream";

    /// An array of the events' data; `corrections` rewrites it, since OpenAPI 3.0 cannot describe streams.
    fn schema_ref() -> MetaSchemaRef {
        MetaSchemaRef::Inline(Box::new(MetaSchema {
            items: Some(Box::new(T::schema_ref())),
            ..MetaSchema::new_with_format("array", "event-stream")
        }))
    }

    fn register(registry: &mut Registry) {
        T::register(registry);
    }
}

impl<T: Send> IntoResponse for EventStream<T> {
    /// Sets the headers that keep proxies from caching or buffering the stream.
    fn into_response(self) -> Response {
        self.stream.into_response()
    }
}
