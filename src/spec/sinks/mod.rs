//! Sinks of a specification: receivers of the results of a run.
//!
//! A specification lists sinks; each is stored beside the run as a document from which any process can send to it.
//! [`outbox`](crate::outbox) sends.

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
