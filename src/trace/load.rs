//! From documents to traces: scan, decode, join.

use super::ahead;
use super::build::Builder;
use super::decode::decode;
use super::document::Document;
use super::error::LoadError;
use super::format::Format;
use super::model::{Trace, Warning};
use super::scan::scan;

/// The traces of all documents, and the faults found while reading them.
#[derive(Debug, Default)]
pub struct Loaded<'a> {
    /// The traces, in the order of their first spans.
    pub traces: Vec<Trace<'a>>,
    /// Documents and parts of documents that could not be read.
    pub errors: Vec<LoadError>,
    /// Defects that belong to no trace, such as rejected spans.
    pub warnings: Vec<Warning>,
    /// Log records read, whether or not they found a trace.
    pub log_records: usize,
}

/// How far spans and log records of one trace are joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Join {
    /// Across all documents.
    #[default]
    AcrossDocuments,
    /// Within each document, as the reference does; a trace split over two documents becomes two.
    WithinDocuments,
}

/// Reads all documents and joins their spans and log records by trace and span id.
///
/// A document that cannot be read is reported in `errors`; the others are still read. `format` replaces detection.
/// Decoding uses the current rayon pool; the result does not depend on its size.
pub fn load<'a>(documents: &'a [Document], format: Option<Format>, join: Join) -> Loaded<'a> {
    let mut loaded = Loaded::default();
    let mut builder = Builder::default();
    for (index, document) in documents.iter().enumerate() {
        let (scanned, ahead) = ahead::while_scanning(document.text(), |feed| scan(document, format, feed));
        loaded.errors.extend(scanned.errors);
        decode(document, scanned.found, ahead, &mut builder);
        if join == Join::WithinDocuments || index + 1 == documents.len() {
            let (traces, warnings, log_records) = std::mem::take(&mut builder).finish();
            loaded.traces.extend(traces);
            loaded.warnings.extend(warnings);
            loaded.log_records += log_records;
        }
    }
    loaded
}
