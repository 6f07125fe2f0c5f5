//! Durable runs: what they are ([`model`]), where they are kept ([`store`]), and how changes are told of
//! ([`hints`]). [`submission`] checks what comes in, [`execution`] evaluates it.
//!
//! Nothing here knows a database: [`store::RunStore`] is the port, `storage` has the adapters.

mod digest;
pub mod execution;
pub mod hints;
pub mod model;
mod outcome;
mod redaction;
mod spec;
pub mod store;
pub mod submission;

pub use redaction::redacted;
