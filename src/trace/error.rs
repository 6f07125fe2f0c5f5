//! Why a document, or a part of one, was not read.

use super::format::Format;
use crate::json::SyntaxError;

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
        /// The decoder's message.
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
        /// The fault and its place.
        error: SyntaxError,
    },
    /// JSON, but neither OTLP nor Jaeger.
    #[error(
        "`{document}`, line {line}: {found}; expected OTLP JSON (`resourceSpans`, `batches`, `trace`, \
         `result`, bare spans) or Jaeger JSON (`data`)"
    )]
    UnknownShape {
        /// Name of the document.
        document: String,
        /// Line where the value starts.
        line: usize,
        /// Description of the value.
        found: String,
    },
    /// The document is not in the format that was asked for.
    #[error("`{document}` is not {format}: {reason}; leave the format out to have it detected")]
    WrongFormat {
        /// Name of the document.
        document: String,
        /// The format that was forced.
        format: Format,
        /// The part that is missing.
        reason: &'static str,
    },
    /// Reading stopped, because the search for the value after a broken one had read the text too often.
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
        /// Number of faults that are not listed.
        count: usize,
    },
}
