//! Durable runs: what they are ([`model`]), where they are kept ([`store`]), and how changes are told of
//! ([`hints`]).
//!
//! Nothing here knows a database: [`store::RunStore`] is the port, `storage` has the adapters.

mod batch;
pub mod execution;
pub mod hints;
pub mod model;
pub mod redaction;
pub mod service;
pub mod store;
pub mod submission;
mod watch;
pub mod worker;
