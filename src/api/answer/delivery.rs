//! Messages to sinks in answers.

use poem_openapi::Object;
use serde::Serialize;
use uuid::Uuid;

use super::member::{Named, Nullable, Time};
use crate::outbox::{Message, MessageState, Phase};
use crate::spec::SinkKind;

/// A message to a sink of a run, without its content.
#[derive(Debug, PartialEq, Serialize, Object)]
#[serde(rename_all = "camelCase")]
#[oai(rename = "Delivery", rename_all = "camelCase")]
pub(in crate::api) struct DeliveryAnswer {
    /// Id of the message, the same over all attempts; receivers see it as `webhook-id`.
    id: String,
    /// Id of the run.
    run_id: Uuid,
    /// Number of the event that the message reports.
    event: u32,
    /// Index of the sink in the specification, from 0.
    sink: u16,
    /// Kind of the sink.
    kind: Named<SinkKind>,
    /// Destination of the sink; of a URL only scheme, host and port.
    destination: String,
    /// Kind of the message.
    phase: Named<Phase>,
    /// State of the message.
    state: Named<MessageState>,
    /// Attempts since the message was last queued.
    attempts: u32,
    /// Time of the next attempt; null unless the message waits for one.
    next_attempt_at: Nullable<Time>,
    /// HTTP status of the last answer.
    last_status: Nullable<u16>,
    /// Why the last attempt failed.
    last_error: Nullable<String>,
    /// When the message was written.
    created_at: Time,
    /// When the message was delivered or given up.
    settled_at: Nullable<Time>,
}

impl From<Message> for DeliveryAnswer {
    fn from(message: Message) -> Self {
        Self {
            id: message.id.to_string(),
            run_id: message.id.run.0,
            event: message.id.event,
            sink: message.id.sink,
            kind: message.kind.into(),
            destination: message.destination,
            phase: message.phase.into(),
            state: message.state.into(),
            attempts: message.tries,
            next_attempt_at: Nullable::from(message.next_try_at),
            last_status: Nullable(message.last_status),
            last_error: Nullable(message.last_error),
            created_at: message.created_at.into(),
            settled_at: Nullable::from(message.settled_at),
        }
    }
}

/// A page of the messages of a run.
#[derive(Debug, Serialize, Object)]
pub(in crate::api) struct DeliveryPage {
    /// Messages, by event, then by sink.
    pub(in crate::api) data: Vec<DeliveryAnswer>,
    /// The `cursor` of the next page; null on the last one.
    pub(in crate::api) next: Nullable<String>,
}

/// Messages that were queued again.
#[derive(Debug, Serialize, Object)]
#[oai(rename = "RedeliveryEnvelope")]
pub(in crate::api) struct Redelivered {
    /// Messages, by event, then by sink.
    pub(in crate::api) data: Vec<DeliveryAnswer>,
}
