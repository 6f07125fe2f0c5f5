//! Where the traces of a run come from: out of its specification, or from a URL.
//!
//! A trace is asked for by its id at any URL that answers with trace JSON, as the query APIs of Jaeger and Tempo do.
//! The call goes out under the guard of [`net`](crate::net). Failures that may pass are told apart from those that
//! will not, so that the run is tried again or fails at once.

mod fetch;
mod target;
mod traces;

pub use fetch::FetchLimits;

pub(crate) use fetch::{FetchError, Fetcher};
pub(crate) use target::HttpTarget;
pub(crate) use traces::{BAD_TRACE, INLINE, Unusable, inline_document, load_document};
