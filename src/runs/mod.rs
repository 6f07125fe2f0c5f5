//! Durable runs: what they are ([`model`]), how they are submitted ([`submission`], [`service`]), kept ([`store`]),
//! claimed ([`worker`]), evaluated ([`execution`]) and deleted when they are old ([`retention`]), and how changes are
//! told of ([`hints`]). Traces that are elsewhere are fetched ([`fetch`]), with secrets that specifications only refer
//! to ([`credentials`]). What comes out is told to [`sinks`]: [`messages`] say what, the [`outbox`] keeps them, and
//! [`delivery`] sends them.
//!
//! Nothing here knows a database: [`store::RunStore`] is the port, `storage` has the adapters.

mod assessment;
mod batch;
pub mod credentials;
pub mod delivery;
mod digest;
pub mod execution;
pub mod fetch;
pub mod hints;
pub mod messages;
pub mod model;
pub mod outbox;
mod outcome;
mod redaction;
mod result_object;
pub mod retention;
pub mod service;
pub mod sinks;
mod spec;
pub mod store;
pub mod submission;
pub mod uploads;
mod watch;
pub mod worker;

pub use redaction::redacted;
pub(crate) use result_object::ResultObject;
