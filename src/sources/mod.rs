//! Sources of the traces of a run: its specification, or a URL.
//!
//! Traces are fetched by id from any URL that answers with trace JSON, such as the query APIs of Jaeger and Tempo. The
//! calls go through the address guard of [`net`](crate::net). After a transient failure the run is tried again; after a
//! permanent one it fails at once.

mod fetch;
mod target;
mod traces;

pub use fetch::FetchLimits;

pub(crate) use fetch::{FetchError, Fetcher};
pub(crate) use target::HttpTarget;
pub(crate) use traces::{BAD_TRACE, INLINE, Unusable, inline_document, load_document};
