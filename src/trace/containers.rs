//! Walks the containers of an export down to its spans and log records, which stay in their text.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use super::ahead::Feed;
use super::attributes::attributes;
use super::decode::Notes;
use super::jaeger;
use super::model::Origin;
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
    /// Spans that stand outside any export document; they are decoded after those inside.
    pub(super) bare_spans: Vec<Raw<'a>>,
    /// OTLP log records; `origin` points into `origins`.
    pub(super) logs: Vec<Raw<'a>>,
    /// Jaeger spans; `origin` points into `processes`.
    pub(super) jaeger_spans: Vec<Raw<'a>>,
    /// Resource and scope by index.
    pub(super) origins: Vec<Arc<Origin<'a>>>,
    /// Jaeger process tables (resource by process id), one per trace object.
    pub(super) processes: Vec<HashMap<String, Arc<Map<'a>>>>,
    /// Attributes of resources that could not be read.
    pub(super) bad_resource_values: usize,
    /// Takes the spans of export documents as soon as they are found.
    pub(super) feed: Feed<'a>,
    /// Things that are not objects or lists where one belongs.
    pub(super) misplaced: usize,
}

/// What to go back to when a value turns out to be broken.
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
    let is_logs = key.ends_with("ogs");
    let (mut misplaced, mut bad_values) = (0, 0);
    let is_list = reader.array(|reader| {
        let mut resource = Map::default();
        let mut scopes: Vec<(Cow<'a, str>, Vec<&'a str>)> = Vec::new();
        let is_object = reader.object(|reader, key| {
            match key {
                "resource" => drop(reader.object(|reader, key| match key {
                    "attributes" => {
                        let mut notes = Notes::default();
                        resource = attributes(reader, &mut notes)?;
                        bad_values += (notes.bad_values + notes.deep_values) as usize;
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
                        scopes.push(scope_entry(reader, &mut found.feed, &mut misplaced)?);
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
    found.bad_resource_values += bad_values;
    Ok(())
}

/// Reads one entry of `scopeSpans` or `scopeLogs`: the scope's name and its items.
fn scope_entry<'a>(
    reader: &mut Reader<'a>,
    feed: &mut Feed<'a>,
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
            "spans" => items = raw_objects(reader, misplaced, |json| feed.offer(json))?,
            "logRecords" | "log_records" | "logs" => items = raw_objects(reader, misplaced, |_| {})?,
            _ => reader.skip()?,
        }
        Ok(())
    })?;
    *misplaced += usize::from(!is_object);
    Ok((scope, items))
}

/// What stands under `data` of what may be a Jaeger export.
pub(super) enum JaegerList {
    /// Traces, or nothing.
    Traces,
    /// A list of something else.
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

/// The objects of a list, still in their text, each shown to `seen` at once; what is no object is counted.
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
