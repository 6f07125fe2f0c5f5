//! Finds the spans and log records in a text without decoding them.
//!
//! A text is a sequence of JSON values: one document, JSON lines, or documents one after the other. Each value is read
//! whole or not at all: one that cannot be read is reported with its place, and reading goes on with the next.

use super::ahead::Feed;
use super::containers::{Found, JaegerList, Raw, is_resource_list, jaeger_traces, resource_list};
use super::document::Document;
use super::error::LoadError;
use super::format::Format;
use crate::json::{Reader, SyntaxError, Token};

/// The items of a document, and the values that could not be read.
pub(super) struct Scanned<'a> {
    pub(super) found: Found<'a>,
    pub(super) errors: Vec<LoadError>,
}

/// Faults listed per document, so that a wrong file does not fill the screen.
const LISTED_ERRORS: usize = 10;

/// How many times the length of a document may be read again in search of the value after a broken one. A document
/// that opens a bracket on every line and closes none would otherwise be read once per line.
const MAX_READ_AGAIN: usize = 8;

/// Scans a document, as `format` if it is given, and offers spans to `feed` as they are found.
pub(super) fn scan<'a>(document: &'a Document, format: Option<Format>, feed: Feed<'a>) -> Scanned<'a> {
    let text = document.text();
    let mut found = Found { feed, ..Found::default() };
    let mut errors = Vec::new();
    let mut unlisted = 0;
    let mut read_again = 0;
    let mut at = after_blanks(text, 0);
    if at == text.len() {
        errors.push(ScanFault::Shape("the document is empty".into()).locate(document, 0));
    }
    while at < text.len() {
        let mark = found.mark();
        let mut reader = Reader::new(&text[at..]);
        let Err(fault) = scan_value(&mut reader, format, &mut found) else {
            at = after_blanks(text, at + reader.offset());
            continue;
        };
        found.roll_back(&mark);
        // Locating a fault means counting lines, so it is done only for faults that are listed.
        match errors.len() < LISTED_ERRORS {
            true => errors.push(fault.locate(document, at)),
            false => unlisted += 1,
        }
        let next = match &fault {
            ScanFault::Syntax(error) => {
                let next = next_document(text, at);
                read_again += (at + error.offset).saturating_sub(next);
                next
            }
            ScanFault::Shape(_) | ScanFault::Format(..) => at + reader.offset(),
        };
        if read_again > MAX_READ_AGAIN * text.len() {
            let line = SyntaxError::new("", text, next).line;
            errors.push(LoadError::Abandoned { document: document.name().to_owned(), line });
            break;
        }
        at = after_blanks(text, next);
    }
    found.feed.close();
    if unlisted > 0 {
        errors.push(LoadError::More { document: document.name().to_owned(), count: unlisted });
    }
    Scanned { found, errors }
}

/// The next place from `at` on that is neither white space nor a record separator of JSON text sequences (RFC 7464).
fn after_blanks(text: &str, at: usize) -> usize {
    let rest = text[at..].trim_start_matches(|c: char| c.is_ascii_whitespace() || c == '\u{1e}');
    text.len() - rest.len()
}

/// The line to go on with after a broken value: the next one that starts a document.
///
/// The search starts at the broken value, not at the fault in it: a JSON line that was cut short fails in the line
/// after it. An indented line counts only if it looks complete, else the inside of a broken document would be read as
/// more documents.
fn next_document(text: &str, from: usize) -> usize {
    let mut at = from;
    while let Some(newline) = memchr::memchr(b'\n', &text.as_bytes()[at..]) {
        at += newline + 1;
        let line = text[at..].lines().next().unwrap_or_default();
        let start = line.trim_start_matches('\u{1e}');
        let inner = line.trim();
        let is_complete = inner.starts_with(['{', '[']) && inner.ends_with(['}', ']']);
        if start.starts_with(['{', '[']) || is_complete {
            return at;
        }
    }
    text.len()
}

/// Why a value was not read.
enum ScanFault {
    /// It is not JSON, so its end is unknown.
    Syntax(SyntaxError),
    /// It is neither OTLP nor Jaeger; a description of it.
    Shape(String),
    /// It is not in the format that was asked for; the part that is missing.
    Format(Format, &'static str),
}

impl From<SyntaxError> for ScanFault {
    fn from(error: SyntaxError) -> Self {
        Self::Syntax(error)
    }
}

impl ScanFault {
    /// The fault as reported; `base` is the place of the value in the document.
    fn locate(&self, document: &Document, base: usize) -> LoadError {
        let name = document.name().to_owned();
        match self {
            Self::Syntax(error) => {
                let start = SyntaxError::new("", document.text(), base).line;
                let mut error = SyntaxError::new(&error.reason, document.text(), base + error.offset);
                if error.line != start {
                    error.reason = format!("{} in the value from line {start} on,", error.reason);
                }
                LoadError::Syntax { document: name, error }
            }
            Self::Shape(found) => {
                let line = SyntaxError::new("", document.text(), base).line;
                LoadError::UnknownShape { document: name, line, found: found.clone() }
            }
            Self::Format(format, reason) => {
                LoadError::WrongFormat { document: name, format: *format, reason }
            }
        }
    }
}

/// Scans one value: an export document, a span, a list of either, or a Jaeger export.
fn scan_value<'a>(
    reader: &mut Reader<'a>,
    format: Option<Format>,
    found: &mut Found<'a>,
) -> Result<(), ScanFault> {
    match reader.peek()? {
        Token::Map => scan_object(reader, format, true, found),
        Token::List => scan_list(reader, format, found),
        _ => {
            let text = reader.raw()?;
            Err(ScanFault::Shape(format!("found {}", excerpt(text))))
        }
    }
}

fn scan_list<'a>(
    reader: &mut Reader<'a>,
    format: Option<Format>,
    found: &mut Found<'a>,
) -> Result<(), ScanFault> {
    let mut items = 0;
    let mut unusable = 0;
    let mut first_fault = None;
    reader.array(|reader| {
        items += 1;
        let item = reader.raw()?;
        let outcome = match item.starts_with('{') {
            true => scan_object(&mut Reader::new(item), format, true, found),
            false => Err(ScanFault::Shape(format!("found a list with {}", excerpt(item)))),
        };
        if let Err(fault) = outcome {
            unusable += 1;
            first_fault.get_or_insert(fault);
        }
        Ok(())
    })?;
    match first_fault {
        Some(fault) if unusable == items => Err(fault),
        None if items == 0 => Err(ScanFault::Shape("found an empty list".into())),
        _ => {
            found.misplaced += unusable;
            Ok(())
        }
    }
}

/// Members of an object of unknown shape that are named in its fault.
const SHOWN_KEYS: usize = 4;

/// Scans an object: an export document, a span, a Jaeger export or, if it may be one, an API's envelope around those.
fn scan_object<'a>(
    reader: &mut Reader<'a>,
    format: Option<Format>,
    may_be_envelope: bool,
    found: &mut Found<'a>,
) -> Result<(), ScanFault> {
    let start = reader.offset();
    let members = ObjectMembers::read(reader, found)?;
    if format == Some(Format::JaegerJson) {
        return match members.data {
            Some(data) if !members.is_export => scan_jaeger(data, found),
            _ => Err(ScanFault::Format(Format::JaegerJson, NO_JAEGER_LIST)),
        };
    }
    if members.is_export {
        return Ok(());
    }
    if members.is_span {
        found.bare_spans.push(Raw { json: reader.since(start), origin: 0 });
        return Ok(());
    }
    if format == Some(Format::OtlpJson) {
        return Err(ScanFault::Format(
            Format::OtlpJson,
            "there is no `resourceSpans`, `batches`, `trace`, `result` or span id",
        ));
    }
    match members.data {
        // An API's envelope around an export document is read as well; an envelope in an envelope is not.
        Some(data) if data.starts_with('{') && may_be_envelope => {
            scan_object(&mut Reader::new(data), format, false, found)
        }
        Some(data) if data.starts_with('[') => scan_jaeger(data, found),
        Some(data) => Err(ScanFault::Shape(format!("found `data` with {}", excerpt(data)))),
        None if members.keys.is_empty() => Err(ScanFault::Shape("found an empty object".into())),
        None => Err(ScanFault::Shape(format!("found an object with {}", members.keys.join(", ")))),
    }
}

/// The members of an object that show its kind.
#[derive(Default)]
struct ObjectMembers<'a> {
    /// There are resources with spans or log records; they have been read.
    is_export: bool,
    /// There is the id of a span or of a trace.
    is_span: bool,
    /// The text of the member `data`: the traces of a Jaeger export, or the document in an envelope.
    data: Option<&'a str>,
    /// The first other members, quoted.
    keys: Vec<String>,
}

impl<'a> ObjectMembers<'a> {
    /// Reads an object; the items of resources go into `found`.
    fn read(reader: &mut Reader<'a>, found: &mut Found<'a>) -> Result<Self, SyntaxError> {
        let mut members = Self::default();
        reader.object(|reader, key| {
            if is_resource_list(key) {
                members.is_export = true;
                return resource_list(reader, key, found);
            }
            if members.keys.len() < SHOWN_KEYS {
                members.keys.push(format!("`{}`", key.escape_debug()));
            }
            match key {
                // Around the answers of Tempo (`trace`), and of version 3 of Jaeger's API (`result`).
                "trace" | "result" => {
                    reader.object(|reader, key| {
                        if is_resource_list(key) {
                            members.is_export = true;
                            return resource_list(reader, key, found);
                        }
                        reader.skip()
                    })?;
                }
                "data" => members.data = Some(reader.raw()?),
                _ => {
                    members.is_span |= matches!(key, "spanId" | "traceId" | "span_id" | "trace_id");
                    reader.skip()?;
                }
            }
            Ok(())
        })?;
        Ok(members)
    }
}

const NO_JAEGER_LIST: &str = "there is no list under `data`";

fn scan_jaeger<'a>(data: &'a str, found: &mut Found<'a>) -> Result<(), ScanFault> {
    match jaeger_traces(data, found)? {
        JaegerList::Traces => Ok(()),
        JaegerList::Others => Err(ScanFault::Shape("found a list under `data` without a trace in it".into())),
        JaegerList::Absent => Err(ScanFault::Format(Format::JaegerJson, NO_JAEGER_LIST)),
    }
}

/// The beginning of a text, quoted, for messages.
fn excerpt(text: &str) -> String {
    let start: String = text.chars().take(40).collect();
    let more = if start.len() < text.len() { "…" } else { "" };
    // Line ends would break the message; quotes are shown as they are.
    let start: String = start.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    format!("`{start}{more}`")
}
