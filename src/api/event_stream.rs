//! Server-sent events.

use std::time::Duration;

use futures_util::{Stream, StreamExt, stream};
use poem::web::sse::{Event, SSE};
use poem::{IntoResponse, Response};
use poem_openapi::payload::Payload;
use poem_openapi::registry::{MetaSchema, MetaSchemaRef, Registry};
use poem_openapi::types::Type;
use tokio_util::sync::CancellationToken;
use tracing::error;

use super::answer::EventAnswer;

/// How often an idle stream sends a comment, so that proxies keep the connection open.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// How many milliseconds a client waits before it connects again.
const RECONNECT_MS: u64 = 2000;

/// Events of runs, told of as they happen.
pub(super) struct EventStream(SSE);

impl EventStream {
    /// A stream of events, each with the id that a client names to resume after it. It ends with `events`, or when
    /// the service stops: graceful shutdown waits for open streams.
    pub(super) fn new(
        events: impl Stream<Item = (String, EventAnswer)> + Send + 'static,
        shutdown: &CancellationToken,
    ) -> Self {
        // An event left out would be a gap; a stream that ends is resumed.
        let messages = events.map(|(id, event)| message(id, &event));
        let messages = messages.take_while(|message| std::future::ready(message.is_some()));
        let messages = messages.filter_map(std::future::ready);
        let messages = stream::iter([Event::retry(RECONNECT_MS)]).chain(messages);
        Self(SSE::new(messages.take_until(shutdown.clone().cancelled_owned())).keep_alive(KEEP_ALIVE))
    }
}

fn message(id: String, event: &EventAnswer) -> Option<Event> {
    let data = serde_json::to_string(event);
    let data = data.map_err(|error| error!("event `{id}` cannot be written: {error}")).ok()?;
    Some(Event::message(data).id(id).event_type(event.name()))
}

impl Payload for EventStream {
    const CONTENT_TYPE: &'static str = "text/event-stream";

    /// The data of the events: OpenAPI 3.0 has no words for streams.
    fn schema_ref() -> MetaSchemaRef {
        MetaSchemaRef::Inline(Box::new(MetaSchema {
            items: Some(Box::new(EventAnswer::schema_ref())),
            ..MetaSchema::new_with_format("array", "event-stream")
        }))
    }

    fn register(registry: &mut Registry) {
        EventAnswer::register(registry);
    }
}

impl IntoResponse for EventStream {
    /// With the headers that keep proxies from storing or holding back what is sent.
    fn into_response(self) -> Response {
        self.0.into_response()
    }
}
