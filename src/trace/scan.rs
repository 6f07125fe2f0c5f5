//! Finds the spans and log records in a text without decoding them.
//!
//! A text is a sequence of JSON values: one document, JSON lines, or documents one after the other. Each value
//! is all or nothing: one that cannot be read is reported with its place and the next is tried.

use super::ahead::Feed;
use super::containers::{Found, JaegerList, Raw, is_resource_list, jaeger_traces, resource_list};
use super::{Document, Format, LoadError};
use crate::json::{Reader, SyntaxError, Token};

/// What was found and what could not be read.
pub(super) struct Scanned<'a> {
    pub(super) found: Found<'a>,
    pub(super) errors: Vec<LoadError>,
}

/// Of one document at most this many faults are listed, so that a wrong file does not bury the screen.
const LISTED_ERRORS: usize = 10;

/// How often a document may be read again, in all, in search of what follows a broken value. One that opens
/// something on every line and closes nothing would otherwise be read once per line.
const MAX_READ_AGAIN: usize = 8;

/// Scans a document, as `format` if it is given, and offers spans to `feed` as they are found.
pub(super) fn scan<'a>(document: &'a Document, format: Option<Format>, feed: Feed<'a>) -> Scanned<'a> {
    let text = document.text();
    let mut found = Found { feed, ..Found::default() };
    let mut errors = Vec::new();
    let mut unlisted = 0;
    let mut read_again = 0;
    let mut at = 0;
    let mut values = 0;
    loop {
        at += blank_prefix(&text[at..]);
        if at >= text.len() {
            break;
        }
        values += 1;
        let mark = found.mark();
        let mut reader = Reader::new(&text[at..]);
        match scan_value(&mut reader, format, &mut found) {
            Ok(()) => at += reader.offset(),
            Err(fault) => {
                found.roll_back(&mark);
                let end = reader.offset();
                // Locating a fault means counting lines, so it is done for those that are shown.
                match errors.len() < LISTED_ERRORS {
                    true => errors.push(fault.locate(document, at)),
                    false => unlisted += 1,
                }
                let next = match &fault {
                    ScanFault::Syntax(_) => next_document(text, at),
                    ScanFault::Shape(_) | ScanFault::Format(..) => at + end,
                };
                if let ScanFault::Syntax(error) = &fault {
                    read_again += (at + error.offset).saturating_sub(next);
                }
                at = next;
                if read_again > MAX_READ_AGAIN * text.len() {
                    let line = SyntaxError::new("", text, at).line;
                    errors.push(LoadError::Abandoned { document: document.name().to_owned(), line });
                    break;
                }
            }
        }
    }
    found.feed.close();
    if values == 0 {
        errors.push(ScanFault::Shape("the document is empty".into()).locate(document, 0));
    }
    if unlisted > 0 {
        errors.push(LoadError::More { document: document.name().to_owned(), count: unlisted });
    }
    Scanned { found, errors }
}

/// Bytes of white space, and of the record separators of JSON text sequences (RFC 7464), in front.
fn blank_prefix(text: &str) -> usize {
    text.len() - text.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == '\u{1e}').len()
}

/// Where reading goes on after a broken value: the next line that starts a document.
///
/// Measured from the start of the broken value, not from the fault: a line cut short fails in the next one. An
/// indented line counts only if it looks complete, else the inside of a broken document would be taken for more.
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

enum ScanFault {
    Syntax(SyntaxError),
    Shape(String),
    Format(Format, &'static str),
}

impl From<SyntaxError> for ScanFault {
    fn from(error: SyntaxError) -> Self {
        Self::Syntax(error)
    }
}

impl ScanFault {
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

/// How many members of an object of unknown shape are named.
const SHOWN_KEYS: usize = 4;

fn scan_object<'a>(
    reader: &mut Reader<'a>,
    format: Option<Format>,
    may_be_envelope: bool,
    found: &mut Found<'a>,
) -> Result<(), ScanFault> {
    let mut is_export = false;
    let mut is_span = false;
    let mut data = None;
    let mut keys = Vec::new();
    let text = {
        let start = reader.offset();
        reader.object(|reader, key| {
            if is_resource_list(key) {
                is_export = true;
                return resource_list(reader, key, found);
            }
            if keys.len() < SHOWN_KEYS {
                keys.push(format!("`{}`", key.escape_debug()));
            }
            match key {
                // Around the answer of Tempo, and of version 3 of Jaeger's API.
                "trace" | "result" => {
                    reader.object(|reader, key| {
                        if is_resource_list(key) {
                            is_export = true;
                            return resource_list(reader, key, found);
                        }
                        reader.skip()
                    })?;
                }
                "data" => data = Some(reader.raw()?),
                _ => {
                    is_span |= matches!(key, "spanId" | "traceId" | "span_id" | "trace_id");
                    reader.skip()?;
                }
            }
            Ok(())
        })?;
        reader.since(start)
    };
    if format == Some(Format::JaegerJson) {
        return match data {
            Some(data) if !is_export => scan_jaeger(data, found),
            _ => Err(ScanFault::Format(Format::JaegerJson, "there is no list under `data`")),
        };
    }
    if is_export {
        return Ok(());
    }
    if is_span {
        found.bare_spans.push(Raw { json: text, origin: 0 });
        return Ok(());
    }
    match data {
        _ if format == Some(Format::OtlpJson) => Err(ScanFault::Format(
            Format::OtlpJson,
            "there is no `resourceSpans`, `batches`, `trace`, `result` or span id",
        )),
        // An API's envelope around an export document is read as well; an envelope in an envelope is not.
        Some(data) if data.starts_with('{') && may_be_envelope => {
            scan_object(&mut Reader::new(data), format, false, found)
        }
        Some(data) if data.starts_with('[') => scan_jaeger(data, found),
        Some(data) => Err(ScanFault::Shape(format!("found `data` with {}", excerpt(data)))),
        None if keys.is_empty() => Err(ScanFault::Shape("found an empty object".into())),
        None => Err(ScanFault::Shape(format!("found an object with {}", keys.join(", ")))),
    }
}

fn scan_jaeger<'a>(data: &'a str, found: &mut Found<'a>) -> Result<(), ScanFault> {
    match jaeger_traces(data, found)? {
        JaegerList::Traces => Ok(()),
        JaegerList::Others => Err(ScanFault::Shape("found a list under `data` without a trace in it".into())),
        JaegerList::Absent => Err(ScanFault::Format(Format::JaegerJson, "there is no list under `data`")),
    }
}

/// The beginning of a text, for messages.
fn excerpt(text: &str) -> String {
    let start: String = text.chars().take(40).collect();
    let more = if start.len() < text.len() { "…" } else { "" };
    format!("`{}{more}`", start.escape_debug())
}
