//! Sinks of a specification: where the results of a run go besides storage.
//!
//! A specification lists them; each is stored beside the run with all that it takes to send to it. Sending is up to
//! [`outbox`](crate::outbox).

mod path;
mod rules;
mod sink;
mod stored;
mod webhook;

pub(crate) use path::path_below;
pub(crate) use rules::SinkRules;
pub(crate) use sink::{DEFAULT_TRIES, Sink, SinkTarget, read_all};
pub use stored::{SinkKind, StoredSink};
pub(crate) use webhook::WebhookTarget;
