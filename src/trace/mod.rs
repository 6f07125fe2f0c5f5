//! Reads OpenTelemetry recordings (OTLP JSON, Jaeger JSON) into traces.
//!
//! [`Document`] turns bytes into text (gzip, byte order mark). `scan` finds the spans and log records in a text of
//! any accepted shape (`containers`) and passes over the rest; `decode` reads them (`otlp_json`, `jaeger`,
//! `attributes`, `ids`); `build` joins those of *all* documents into one tree per trace. Nothing here opens files,
//! and nothing is dropped without a warning.

mod ahead;
mod attributes;
mod build;
mod containers;
mod decode;
mod document;
mod ids;
mod jaeger;
mod model;
mod otlp_json;
mod scan;

use std::fmt;
use std::str::FromStr;

pub use document::{DEFAULT_MAX_BYTES, Document, GZIP_MAGIC};
pub use model::{LogRecord, Origin, Span, SpanEvent, SpanStatus, Trace, Warning, Warnings};

/// The two formats that are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// What Jaeger's UI and query API export.
    JaegerJson,
    /// OTLP JSON in any of its wrappings.
    OtlpJson,
}

impl Format {
    /// The name used on the command line and in configurations.
    pub fn name(self) -> &'static str {
        match self {
            Self::JaegerJson => "jaeger-json",
            Self::OtlpJson => "otlp-json",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "jaeger-json" => Ok(Self::JaegerJson),
            "otlp-json" => Ok(Self::OtlpJson),
            other => Err(format!("unknown trace format `{other}`; expected jaeger-json or otlp-json")),
        }
    }
}

/// Why a document, or a part of one, was not read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// The bytes are not text.
    #[error("`{document}` is not UTF-8: invalid byte at offset {offset}; convert it to UTF-8 first")]
    NotUtf8 {
        /// Name of the document.
        document: String,
        /// First offending byte.
        offset: usize,
    },
    /// The gzip stream is broken.
    #[error("`{document}` is not a complete gzip file: {reason}")]
    BadGzip {
        /// Name of the document.
        document: String,
        /// What the decoder said.
        reason: String,
    },
    /// More bytes than allowed, after decompression.
    #[error("`{document}` is larger than {limit_bytes} bytes, the limit")]
    TooLarge {
        /// Name of the document.
        document: String,
        /// The limit in force.
        limit_bytes: u64,
    },
    /// The text, or one value in it, is not JSON.
    #[error("`{document}`: {error}")]
    Syntax {
        /// Name of the document.
        document: String,
        /// What and where.
        error: crate::json::SyntaxError,
    },
    /// JSON, but of no known shape.
    #[error(
        "`{document}`, line {line}: {found}; expected OTLP JSON (`resourceSpans`, `batches`, `trace`, \
         `result`, bare spans) or Jaeger JSON (`data`)"
    )]
    UnknownShape {
        /// Name of the document.
        document: String,
        /// Line where the value starts.
        line: usize,
        /// What stands there.
        found: String,
    },
    /// The format asked for is not what the document holds.
    #[error("`{document}` is not {format}: {reason}; leave the format out to have it detected")]
    WrongFormat {
        /// Name of the document.
        document: String,
        /// The format that was forced.
        format: Format,
        /// What was missing.
        reason: &'static str,
    },
    /// The document is too broken to tell where its values begin.
    #[error("`{document}`: given up at line {line}, too broken to tell where documents begin")]
    Abandoned {
        /// Name of the document.
        document: String,
        /// Line from which nothing was read.
        line: usize,
    },
    /// Further faults of one document, past the number that is listed.
    #[error("`{document}`: {count} more values could not be read")]
    More {
        /// Name of the document.
        document: String,
        /// How many were left out of the list.
        count: usize,
    },
}

/// Everything that was read.
#[derive(Debug, Default)]
pub struct Loaded<'a> {
    /// The traces, in the order in which each was first seen.
    pub traces: Vec<Trace<'a>>,
    /// Documents and parts of documents that could not be read.
    pub errors: Vec<LoadError>,
    /// What was rejected and belongs to no trace.
    pub warnings: Vec<Warning>,
    /// Log records read, whether or not they found a trace.
    pub log_records: usize,
}

/// How far spans and log records of one trace are joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Join {
    /// Whatever document they come from.
    #[default]
    AcrossDocuments,
    /// Only within a document, as the reference does; a trace split over two documents becomes two.
    WithinDocuments,
}

/// Reads all documents and joins their spans and log records by trace and span id.
///
/// A document that cannot be read is reported in `errors`; the others are still read. With `format`, detection
/// is replaced. Decoding uses the current rayon pool; the result does not depend on it.
pub fn load<'a>(documents: &'a [Document], format: Option<Format>, join: Join) -> Loaded<'a> {
    let mut loaded = Loaded::default();
    let mut builder = build::Builder::default();
    for (index, document) in documents.iter().enumerate() {
        let (scanned, ahead) =
            ahead::while_scanning(document.text(), |feed| scan::scan(document, format, feed));
        loaded.errors.extend(scanned.errors);
        decode::decode(document, scanned.found, ahead, &mut builder);
        if join == Join::WithinDocuments || index + 1 == documents.len() {
            let (traces, warnings, log_records) = std::mem::take(&mut builder).finish();
            loaded.traces.extend(traces);
            loaded.warnings.extend(warnings);
            loaded.log_records += log_records;
        }
    }
    loaded
}
