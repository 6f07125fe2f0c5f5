//! Traces that are not part of a specification: where they are, and getting them.
//!
//! A trace is asked for by its id at any URL that answers with trace JSON, as the query APIs of Jaeger and Tempo do.
//! The call goes out under the guard of [`net`](crate::net). What may pass is told apart from what will not, so that
//! the run is tried again or fails at once.

mod http;
mod target;

pub use http::FetchLimits;

pub(super) use http::Fetcher;
pub(super) use target::HttpTarget;
