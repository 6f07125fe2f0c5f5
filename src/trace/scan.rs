//! Finds the spans and log records in a text without decoding them.
//!
//! A text is a sequence of JSON values: one document, JSON lines, or documents one after the other. Each value
//! is all or nothing: one that cannot be read is reported with its place and the next is tried.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use super::model::Origin;
use super::{Document, Format, LoadError, jaeger, otlp_json};
use crate::json::{Map, Reader, SyntaxError, Token};

/// A span or log record still in its text, with the index of its origin.
#[derive(Debug, Clone, Copy)]
pub(super) struct Raw<'a> {
    pub(super) json: &'a str,
    pub(super) origin: u32,
}

/// What was found in one document.
#[derive(Debug, Default)]
pub(super) struct Found<'a> {
    /// OTLP spans; `origin` points into `origins`.
    pub(super) spans: Vec<Raw<'a>>,
    /// OTLP log records; `origin` points into `origins`.
    pub(super) logs: Vec<Raw<'a>>,
    /// Jaeger spans; `origin` points into `processes`.
    pub(super) jaeger_spans: Vec<Raw<'a>>,
    /// Resource and scope by index.
    pub(super) origins: Vec<Arc<Origin<'a>>>,
    /// Jaeger process tables (resource by process id), one per trace object.
    pub(super) processes: Vec<HashMap<String, Arc<Map<'a>>>>,
    /// Things that are not objects or lists where one belongs.
    pub(super) misplaced: usize,
}

/// What was found and what could not be read.
pub(super) struct Scanned<'a> {
    pub(super) found: Found<'a>,
    pub(super) errors: Vec<LoadError>,
}

/// Of one document at most this many faults are listed, so that a wrong file does not bury the screen.
const LISTED_ERRORS: usize = 10;

/// Scans a document, as `format` if it is given.
pub(super) fn scan(document: &Document, format: Option<Format>) -> Scanned<'_> {
    let text = document.text();
    let mut found = Found::default();
    let mut errors = Vec::new();
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
                found.roll_back(mark);
                let end = reader.offset();
                errors.push(fault.locate(document, at));
                at = match fault {
                    Fault::Syntax(_) => next_document(text, at),
                    Fault::Shape(_) | Fault::Format(..) => at + end,
                };
            }
        }
    }
    if values == 0 {
        errors.push(Fault::Shape("the document is empty".into()).locate(document, 0));
    }
    if errors.len() > LISTED_ERRORS {
        let count = errors.len() - LISTED_ERRORS;
        errors.truncate(LISTED_ERRORS);
        errors.push(LoadError::More { document: document.name().to_owned(), count });
    }
    Scanned { found, errors }
}

/// Bytes of white space, and of the record separators of JSON text sequences (RFC 7464), in front.
fn blank_prefix(text: &str) -> usize {
    text.len() - text.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == '\u{1e}').len()
}

/// Where reading goes on after a broken value: the next line that starts a document.
///
/// Measured from the start of the broken value, not from the fault: a line cut short fails in the next one.
fn next_document(text: &str, from: usize) -> usize {
    let mut at = from;
    while let Some(newline) = text[at..].find('\n') {
        at += newline + 1;
        if text[at..].starts_with(['{', '[']) {
            return at;
        }
    }
    text.len()
}

enum Fault {
    Syntax(SyntaxError),
    Shape(String),
    Format(Format, &'static str),
}

impl From<SyntaxError> for Fault {
    fn from(error: SyntaxError) -> Self {
        Self::Syntax(error)
    }
}

impl Fault {
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
) -> Result<(), Fault> {
    match reader.peek()? {
        Token::Map => scan_object(reader, format, found),
        Token::List => scan_list(reader, format, found),
        _ => {
            let text = reader.raw()?;
            Err(Fault::Shape(format!("found {}", excerpt(text))))
        }
    }
}

fn scan_list<'a>(
    reader: &mut Reader<'a>,
    format: Option<Format>,
    found: &mut Found<'a>,
) -> Result<(), Fault> {
    let mut items = 0;
    let mut unusable = 0;
    let mut first_fault = None;
    reader.array(|reader| {
        items += 1;
        let item = reader.raw()?;
        let outcome = match item.starts_with('{') {
            true => scan_object(&mut Reader::new(item), format, found),
            false => Err(Fault::Shape(format!("found a list with {}", excerpt(item)))),
        };
        if let Err(fault) = outcome {
            unusable += 1;
            first_fault.get_or_insert(fault);
        }
        Ok(())
    })?;
    match first_fault {
        Some(fault) if unusable == items => Err(fault),
        None if items == 0 => Err(Fault::Shape("found an empty list".into())),
        _ => {
            found.misplaced += unusable;
            Ok(())
        }
    }
}

fn scan_object<'a>(
    reader: &mut Reader<'a>,
    format: Option<Format>,
    found: &mut Found<'a>,
) -> Result<(), Fault> {
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
            match key {
                "trace" if reader.peek()? == Token::Map => {
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
                    if keys.len() < 4 {
                        keys.push(format!("`{key}`"));
                    }
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
            _ => Err(Fault::Format(Format::JaegerJson, "there is no list under `data`")),
        };
    }
    if is_export {
        return Ok(());
    }
    if is_span {
        let origin = found.no_origin();
        found.spans.push(Raw { json: text, origin });
        return Ok(());
    }
    match data {
        _ if format == Some(Format::OtlpJson) => {
            Err(Fault::Format(Format::OtlpJson, "there is no `resourceSpans`, `batches`, `trace` or span id"))
        }
        // An API's envelope around an export document is read as well.
        Some(data) if data.starts_with('{') => scan_object(&mut Reader::new(data), format, found),
        Some(data) => scan_jaeger(data, found),
        None if keys.is_empty() => Err(Fault::Shape("found an empty object".into())),
        None => Err(Fault::Shape(format!("found an object with {}", keys.join(", ")))),
    }
}

fn is_resource_list(key: &str) -> bool {
    matches!(key, "resourceSpans" | "resource_spans" | "batches" | "resourceLogs" | "resource_logs")
}

/// Reads `resourceSpans` or `resourceLogs`.
fn resource_list<'a>(reader: &mut Reader<'a>, key: &str, found: &mut Found<'a>) -> Result<(), SyntaxError> {
    let is_logs = key.ends_with("ogs");
    let mut misplaced = 0;
    let is_list = reader.array(|reader| {
        let mut resource = Map::default();
        let mut scopes: Vec<(Cow<'a, str>, Vec<&'a str>)> = Vec::new();
        let is_object = reader.object(|reader, key| {
            match key {
                "resource" => drop(reader.object(|reader, key| match key {
                    "attributes" => {
                        resource = otlp_json::attributes(reader, &mut otlp_json::Notes::default())?;
                        Ok(())
                    }
                    _ => reader.skip(),
                })?),
                "scopeSpans"
                | "scope_spans"
                | "instrumentationLibrarySpans"
                | "instrumentation_library_spans"
                | "scopeLogs"
                | "scope_logs"
                | "instrumentationLibraryLogs"
                | "instrumentation_library_logs"
                    if key.ends_with("ogs") == is_logs =>
                {
                    let is_list = reader.array(|reader| {
                        scopes.push(scope_entry(reader, &mut misplaced)?);
                        Ok(())
                    })?;
                    misplaced += usize::from(!is_list);
                }
                _ => reader.skip()?,
            }
            Ok(())
        })?;
        misplaced += usize::from(!is_object);
        let resource = Arc::new(resource);
        for (scope, items) in scopes {
            let origin = found.add_origin(Origin { resource: resource.clone(), scope });
            let list = if is_logs { &mut found.logs } else { &mut found.spans };
            list.extend(items.into_iter().map(|json| Raw { json, origin }));
        }
        Ok(())
    })?;
    found.misplaced += misplaced + usize::from(!is_list);
    Ok(())
}

/// Reads one entry of `scopeSpans` or `scopeLogs`: the scope's name and its items.
fn scope_entry<'a>(
    reader: &mut Reader<'a>,
    misplaced: &mut usize,
) -> Result<(Cow<'a, str>, Vec<&'a str>), SyntaxError> {
    let mut scope = Cow::Borrowed("");
    let mut items = Vec::new();
    let is_object = reader.object(|reader, key| {
        match key {
            "scope" | "instrumentationLibrary" | "instrumentation_library" => {
                reader.object(|reader, key| match key {
                    "name" => {
                        scope = reader.string()?.unwrap_or_default();
                        Ok(())
                    }
                    _ => reader.skip(),
                })?;
            }
            "spans" | "logRecords" | "log_records" | "logs" => {
                let is_list = reader.array(|reader| {
                    if reader.peek()? == Token::Map {
                        items.push(reader.raw()?);
                    } else {
                        *misplaced += 1;
                        reader.skip()?;
                    }
                    Ok(())
                })?;
                *misplaced += usize::from(!is_list);
            }
            _ => reader.skip()?,
        }
        Ok(())
    })?;
    *misplaced += usize::from(!is_object);
    Ok((scope, items))
}

/// Reads the list under `data` of a Jaeger export.
fn scan_jaeger<'a>(data: &'a str, found: &mut Found<'a>) -> Result<(), Fault> {
    let mut reader = Reader::new(data);
    let mut misplaced = 0;
    let is_list = reader.array(|reader| {
        let mut spans = Vec::new();
        let mut processes = HashMap::new();
        let is_object = reader.object(|reader, key| {
            match key {
                "spans" => {
                    let is_list = reader.array(|reader| {
                        if reader.peek()? == Token::Map {
                            spans.push(reader.raw()?);
                        } else {
                            misplaced += 1;
                            reader.skip()?;
                        }
                        Ok(())
                    })?;
                    misplaced += usize::from(!is_list);
                }
                "processes" => processes = jaeger::processes(reader)?,
                _ => reader.skip()?,
            }
            Ok(())
        })?;
        misplaced += usize::from(!is_object);
        let origin = found.processes.len() as u32;
        found.processes.push(processes);
        found.jaeger_spans.extend(spans.into_iter().map(|json| Raw { json, origin }));
        Ok(())
    })?;
    found.misplaced += misplaced;
    if !is_list {
        return Err(Fault::Format(Format::JaegerJson, "there is no list under `data`"));
    }
    Ok(())
}

/// Lengths to go back to when a value turns out to be broken.
struct Mark([usize; 5], usize);

impl<'a> Found<'a> {
    fn mark(&self) -> Mark {
        let lengths = [
            self.spans.len(),
            self.logs.len(),
            self.jaeger_spans.len(),
            self.origins.len(),
            self.processes.len(),
        ];
        Mark(lengths, self.misplaced)
    }

    fn roll_back(&mut self, Mark([spans, logs, jaeger_spans, origins, processes], misplaced): Mark) {
        self.spans.truncate(spans);
        self.logs.truncate(logs);
        self.jaeger_spans.truncate(jaeger_spans);
        self.origins.truncate(origins);
        self.processes.truncate(processes);
        self.misplaced = misplaced;
    }

    fn add_origin(&mut self, origin: Origin<'a>) -> u32 {
        self.origins.push(Arc::new(origin));
        self.origins.len() as u32 - 1
    }

    /// The origin of bare spans. The last one is used again, so that JSON lines of spans share one.
    fn no_origin(&mut self) -> u32 {
        match self.origins.last() {
            Some(last) if last.scope.is_empty() && last.resource.is_empty() => self.origins.len() as u32 - 1,
            _ => self.add_origin(Origin::default()),
        }
    }
}

/// The beginning of a text, for messages.
fn excerpt(text: &str) -> String {
    let start: String = text.chars().take(40).collect();
    if start.len() < text.len() { format!("`{start}…`") } else { format!("`{start}`") }
}
