//! Walks the containers of an export down to its spans and log records, which stay undecoded.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use super::ahead::Feed;
use super::attributes::attributes;
use super::decoded::Notes;
use super::jaeger;
use super::model::Origin;
use crate::json::{Map, Reader, SyntaxError, Token};

/// An undecoded span or log record, with the index of its origin.
#[derive(Debug, Clone, Copy)]
pub(super) struct Raw<'a> {
    pub(super) json: &'a str,
    pub(super) origin: u32,
}

/// The items of one document.
#[derive(Debug, Default)]
pub(super) struct Found<'a> {
    /// OTLP spans; `origin` points into `origins`.
    pub(super) spans: Vec<Raw<'a>>,
    /// Spans outside any export document, which have no origin; they are decoded after `spans`.
    pub(super) bare_spans: Vec<Raw<'a>>,
    /// OTLP log records; `origin` points into `origins`.
    pub(super) logs: Vec<Raw<'a>>,
    /// Jaeger spans; `origin` points into `processes`.
    pub(super) jaeger_spans: Vec<Raw<'a>>,
    /// Resource and scope by index.
    pub(super) origins: Vec<Arc<Origin<'a>>>,
    /// Jaeger process tables (resource by process id), one per trace object.
    pub(super) processes: Vec<HashMap<String, Arc<Map<'a>>>>,
    /// Number of resource attributes that could not be read.
    pub(super) bad_resource_values: usize,
    /// Takes the spans of export documents as soon as they are found.
    pub(super) feed: Feed<'a>,
    /// Number of values of the wrong type, where an object or a list belongs.
    pub(super) misplaced: usize,
}

/// The state to go back to when a value turns out to be broken.
pub(super) struct Mark {
    spans: usize,
    bare_spans: usize,
    logs: usize,
    jaeger_spans: usize,
    origins: usize,
    processes: usize,
    bad_resource_values: usize,
    misplaced: usize,
}

impl<'a> Found<'a> {
    pub(super) fn mark(&self) -> Mark {
        Mark {
            spans: self.spans.len(),
            bare_spans: self.bare_spans.len(),
            logs: self.logs.len(),
            jaeger_spans: self.jaeger_spans.len(),
            origins: self.origins.len(),
            processes: self.processes.len(),
            bad_resource_values: self.bad_resource_values,
            misplaced: self.misplaced,
        }
    }

    pub(super) fn roll_back(&mut self, mark: &Mark) {
        self.spans.truncate(mark.spans);
        self.bare_spans.truncate(mark.bare_spans);
        self.logs.truncate(mark.logs);
        self.jaeger_spans.truncate(mark.jaeger_spans);
        self.origins.truncate(mark.origins);
        self.processes.truncate(mark.processes);
        self.bad_resource_values = mark.bad_resource_values;
        self.misplaced = mark.misplaced;
    }

    fn add_origin(&mut self, origin: Origin<'a>) -> u32 {
        self.origins.push(Arc::new(origin));
        self.origins.len() as u32 - 1
    }
}

/// Whether a member holds the spans or log records of resources.
pub(super) fn is_resource_list(key: &str) -> bool {
    matches!(key, "resourceSpans" | "resource_spans" | "batches" | "resourceLogs" | "resource_logs")
}

/// Reads `resourceSpans` or `resourceLogs`.
pub(super) fn resource_list<'a>(
    reader: &mut Reader<'a>,
    key: &str,
    found: &mut Found<'a>,
) -> Result<(), SyntaxError> {
    let is_logs = is_about_logs(key);
    let mut tally = Tally::default();
    let is_list = reader.array(|reader| resource_entry(reader, is_logs, found, &mut tally))?;
    found.misplaced += tally.misplaced + usize::from(!is_list);
    found.bad_resource_values += tally.bad_values;
    Ok(())
}

/// `resourceLogs` and `scopeLogs` in all spellings; the members for spans end in `Spans` or `batches`.
fn is_about_logs(key: &str) -> bool {
    key.ends_with("ogs")
}

/// Counts of the values of one list that could not be read.
#[derive(Default)]
struct Tally {
    misplaced: usize,
    bad_values: usize,
}

/// The name of a scope and its items.
type ScopeItems<'a> = (Cow<'a, str>, Vec<&'a str>);

/// Reads one entry of `resourceSpans` or `resourceLogs`: the resource's attributes and the items of its scopes.
fn resource_entry<'a>(
    reader: &mut Reader<'a>,
    is_logs: bool,
    found: &mut Found<'a>,
    tally: &mut Tally,
) -> Result<(), SyntaxError> {
    let mut resource = Map::default();
    let mut scopes: Vec<ScopeItems<'a>> = Vec::new();
    let is_object = reader.object(|reader, key| {
        match key {
            "resource" => {
                reader.object(|reader, key| match key {
                    "attributes" => {
                        let mut notes = Notes::default();
                        resource = attributes(reader, &mut notes)?;
                        tally.bad_values += (notes.bad_values + notes.deep_values) as usize;
                        Ok(())
                    }
                    _ => reader.skip(),
                })?;
            }
            _ if is_scope_list(key) && is_about_logs(key) == is_logs => {
                let is_list = reader.array(|reader| {
                    scopes.push(scope_entry(reader, &mut found.feed, &mut tally.misplaced)?);
                    Ok(())
                })?;
                tally.misplaced += usize::from(!is_list);
            }
            _ => reader.skip()?,
        }
        Ok(())
    })?;
    tally.misplaced += usize::from(!is_object);
    // Only now is the resource known: members may come in any order.
    let resource = Arc::new(resource);
    for (scope, items) in scopes {
        let origin = found.add_origin(Origin { resource: resource.clone(), scope });
        let list = if is_logs { &mut found.logs } else { &mut found.spans };
        list.extend(items.into_iter().map(|json| Raw { json, origin }));
    }
    Ok(())
}

/// Whether a member holds the spans or log records of instrumentation scopes.
fn is_scope_list(key: &str) -> bool {
    matches!(
        key,
        "scopeSpans"
            | "scope_spans"
            | "instrumentationLibrarySpans"
            | "instrumentation_library_spans"
            | "scopeLogs"
            | "scope_logs"
            | "instrumentationLibraryLogs"
            | "instrumentation_library_logs"
    )
}

/// Reads one entry of `scopeSpans` or `scopeLogs`.
fn scope_entry<'a>(
    reader: &mut Reader<'a>,
    feed: &mut Feed<'a>,
    misplaced: &mut usize,
) -> Result<ScopeItems<'a>, SyntaxError> {
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
            "spans" => items = raw_objects(reader, misplaced, |json| feed.offer(json))?,
            "logRecords" | "log_records" | "logs" => items = raw_objects(reader, misplaced, |_| {})?,
            _ => reader.skip()?,
        }
        Ok(())
    })?;
    *misplaced += usize::from(!is_object);
    Ok((scope, items))
}

/// The kinds of values found under `data`, where a Jaeger export has its traces.
pub(super) enum JaegerList {
    /// A list with at least one trace, or an empty list.
    Traces,
    /// A list without a trace.
    Others,
    /// No list.
    Absent,
}

/// Reads the list under `data` of a Jaeger export.
pub(super) fn jaeger_traces<'a>(data: &'a str, found: &mut Found<'a>) -> Result<JaegerList, SyntaxError> {
    let (mut misplaced, mut items, mut traces) = (0, 0, 0);
    let is_list = Reader::new(data).array(|reader| {
        items += 1;
        let mut spans = None;
        let mut processes = HashMap::new();
        reader.object(|reader, key| {
            match key {
                "spans" => spans = Some(raw_objects(reader, &mut misplaced, |_| {})?),
                "processes" => processes = jaeger::processes(reader)?,
                _ => reader.skip()?,
            }
            Ok(())
        })?;
        let Some(spans) = spans else {
            misplaced += 1;
            return Ok(());
        };
        traces += 1;
        let origin = found.processes.len() as u32;
        found.processes.push(processes);
        found.jaeger_spans.extend(spans.into_iter().map(|json| Raw { json, origin }));
        Ok(())
    })?;
    found.misplaced += misplaced;
    Ok(match is_list {
        true if items > 0 && traces == 0 => JaegerList::Others,
        true => JaegerList::Traces,
        false => JaegerList::Absent,
    })
}

/// The undecoded objects of a list, each passed to `seen` at once; other elements are counted as misplaced.
fn raw_objects<'a>(
    reader: &mut Reader<'a>,
    misplaced: &mut usize,
    mut seen: impl FnMut(&'a str),
) -> Result<Vec<&'a str>, SyntaxError> {
    let mut objects = Vec::new();
    let mut others = 0;
    let is_list = reader.array(|reader| {
        let is_object = reader.peek()? == Token::Map;
        let json = reader.raw()?;
        match is_object {
            true => {
                seen(json);
                objects.push(json);
            }
            false => others += 1,
        }
        Ok(())
    })?;
    *misplaced += others + usize::from(!is_list);
    Ok(objects)
}
