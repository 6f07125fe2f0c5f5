//! Reads OpenTelemetry recordings (OTLP JSON, Jaeger JSON) into traces.
//!
//! [`load()`] takes three steps. `scan` finds the spans and log records in a text of any accepted shape (`containers`)
//! without decoding them. `decode` decodes each of them (`otlp_json`, `jaeger`; `attributes`, `integer` and `ids` read
//! their members). `build` joins the decoded items of *all* documents into one tree per trace. Large documents are
//! decoded while they are scanned (`ahead`).
//!
//! Nothing here opens files, and nothing is dropped without a warning.

mod ahead;
mod attributes;
mod build;
mod containers;
mod decode;
mod decoded;
mod document;
mod error;
mod format;
mod ids;
mod integer;
mod jaeger;
mod load;
mod model;
mod otlp_json;
mod scan;

pub use document::{DEFAULT_MAX_BYTES, Document, GZIP_MAGIC};
pub use error::LoadError;
pub use format::Format;
pub use load::{Join, Loaded, load};
pub use model::{LogRecord, Origin, Span, SpanEvent, SpanStatus, Trace, Warning, Warnings};
