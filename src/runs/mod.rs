//! Durable runs: what they are ([`model`]), how they are submitted ([`submission`], [`service`]), kept ([`store`]),
//! claimed ([`worker`]), evaluated ([`execution`]) and deleted when they are old ([`retention`]), and how changes are
//! told of ([`hints`]).
//!
//! Nothing here knows a database: [`store::RunStore`] is the port, `storage` has the adapters.

mod batch;
mod digest;
pub mod execution;
pub mod hints;
pub mod model;
mod outcome;
mod redaction;
pub mod retention;
pub mod service;
mod spec;
pub mod store;
pub mod submission;
mod watch;
pub mod worker;

pub use redaction::redacted;
