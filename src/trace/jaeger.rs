//! Decodes single spans of Jaeger JSON.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use super::decoded::{DecodedSpan, Notes, Rejection, required_ids, times};
use super::ids::{Id, SPAN_ID_BYTES, TRACE_ID_BYTES, join_key};
use super::integer::{Integer, integer};
use super::model::{Origin, Span, SpanEvent, SpanStatus};
use crate::json::{Map, Reader, SyntaxError, Value, parse_float, parse_int};

type Result<T> = std::result::Result<T, SyntaxError>;

/// Reads the process table of a trace: the resource of each process id.
pub(super) fn processes<'a>(reader: &mut Reader<'a>) -> Result<HashMap<String, Arc<Map<'a>>>> {
    let mut processes = HashMap::new();
    reader.object(|reader, id| {
        let (mut name, mut entries) = (None, Vec::new());
        reader.object(|reader, key| {
            match key {
                "serviceName" => name = reader.string()?,
                "tags" => entries = tags(reader)?,
                _ => reader.skip()?,
            }
            Ok(())
        })?;
        // Of equal keys the last value wins, so a tag `service.name` overrides the member `serviceName`.
        let service = name.map(|name| (Cow::Borrowed("service.name"), Value::Str(name)));
        let resource = Map::from_entries(service.into_iter().chain(entries).collect());
        processes.insert(id.to_owned(), Arc::new(resource));
        Ok(())
    })?;
    Ok(processes)
}

/// Reads a list of `{key, type, value}` tags.
fn tags<'a>(reader: &mut Reader<'a>) -> Result<Vec<(Cow<'a, str>, Value<'a>)>> {
    let mut entries = Vec::new();
    reader.array(|reader| {
        let (mut name, mut kind, mut value) = (None, None, Value::Null);
        reader.object(|reader, key| {
            match key {
                "key" => name = reader.string()?,
                "type" => kind = reader.string()?,
                "value" => value = reader.value()?,
                _ => reader.skip()?,
            }
            Ok(())
        })?;
        entries.extend(name.map(|name| (name, typed(kind.as_deref(), value))));
        Ok(())
    })?;
    Ok(entries)
}

/// A tag's value converted to its declared type; some exporters write numbers as strings.
fn typed<'a>(kind: Option<&str>, value: Value<'a>) -> Value<'a> {
    match (kind, value) {
        (Some("binary"), Value::Str(_)) => Value::Null, // nothing that extraction reads is bytes
        (Some("int64"), Value::Str(text)) => parse_int(&text).map_or(Value::Str(text), Value::Int),
        (Some("float64"), Value::Str(text)) => parse_float(&text).map_or(Value::Str(text), Value::Float),
        (_, value) => value,
    }
}

/// Decodes one span; times are microseconds.
pub(super) fn span<'a>(
    json: &'a str,
    processes: &HashMap<String, Arc<Map<'a>>>,
) -> std::result::Result<DecodedSpan<'a>, Rejection> {
    let mut notes = Notes::default();
    let (mut trace_id, mut span_id, mut process) = (None, None, None);
    let (mut name, mut entries, mut events) = (Cow::Borrowed(""), Vec::new(), Vec::new());
    let (mut start, mut duration) = (Integer::Absent, Integer::Absent);
    let mut references = Vec::new();
    let outcome = Reader::new(json).object(|reader, key| {
        match key {
            "traceID" => trace_id = reader.string()?,
            "spanID" => span_id = reader.string()?,
            "operationName" => name = reader.string()?.unwrap_or_default(),
            "startTime" => start = integer(reader)?,
            "duration" => duration = integer(reader)?,
            "processID" => process = reader.string()?,
            "tags" => entries = tags(reader)?,
            "logs" => events = logs(reader)?,
            "references" => {
                reader.array(|reader| {
                    references.push(reader.value()?);
                    Ok(())
                })?;
            }
            _ => reader.skip()?,
        }
        Ok(())
    });
    outcome.map_err(|_| Rejection::Malformed)?;
    let (trace_id, id) = required_ids(trace_id, span_id, &mut notes)?;
    let attributes = Map::from_entries(entries);
    let resource = process.and_then(|process| processes.get(&*process).cloned()).unwrap_or_default();
    let end = end_micros(start, duration);
    let (start_unix_nanos, end_unix_nanos) = times(nanos(start), nanos(end), &mut notes);
    let span = Span {
        parent_id: parent(&references, &trace_id),
        id,
        name,
        start_unix_nanos,
        end_unix_nanos,
        status: status(&attributes),
        origin: Arc::new(Origin { resource, scope: Cow::Owned(scope(&attributes)) }),
        attributes,
        events,
    };
    Ok(DecodedSpan { trace_id, span, notes })
}

fn end_micros(start: Integer, duration: Integer) -> Integer {
    match (start, duration) {
        (Integer::Value(start), Integer::Value(duration)) => Integer::Value(start.saturating_add(duration)),
        (Integer::Value(start), Integer::Absent) => Integer::Value(start),
        (Integer::Absent, duration) => duration,
        (_, _) => Integer::Malformed,
    }
}

fn nanos(micros: Integer) -> Integer {
    match micros {
        Integer::Value(micros) => Integer::Value(micros.saturating_mul(1000)),
        other => other,
    }
}

/// Name of the instrumentation scope, which OTLP exporters to Jaeger write as a tag; empty when there is none.
fn scope(attributes: &Map<'_>) -> String {
    let name = ["otel.scope.name", "otel.library.name"].iter().find_map(|key| attributes.get(key));
    name.and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// The id in the first `CHILD_OF` reference into the same trace; other references are links, which nothing reads.
fn parent<'a>(references: &[Value<'a>], trace_id: &str) -> Option<Cow<'a, str>> {
    let parent = references.iter().find(|reference| {
        let is_child = reference.get("refType").and_then(Value::as_str) == Some("CHILD_OF");
        let other = Id::read(reference.get("traceID").and_then(Value::scalar_text), TRACE_ID_BYTES);
        is_child && other.into_known().is_none_or(|other| join_key(&other) == join_key(trace_id))
    })?;
    let Value::Str(id) = parent.get("spanID")? else {
        return None;
    };
    Id::read(Some(id.clone()), SPAN_ID_BYTES).into_known()
}

fn status(attributes: &Map<'_>) -> SpanStatus {
    let code = attributes.get("otel.status_code").and_then(Value::as_str).unwrap_or_default();
    match &*code.to_ascii_uppercase() {
        "OK" => SpanStatus::Ok,
        "ERROR" => SpanStatus::Error,
        _ if matches!(attributes.get("error"), Some(Value::Bool(true))) => SpanStatus::Error,
        _ => SpanStatus::Unset,
    }
}

/// Reads span logs as events: the field `event` is the name.
fn logs<'a>(reader: &mut Reader<'a>) -> Result<Vec<SpanEvent<'a>>> {
    let mut events = Vec::new();
    reader.array(|reader| {
        let mut fields = Vec::new();
        let is_object = reader.object(|reader, key| {
            match key {
                "fields" => fields = tags(reader)?,
                _ => reader.skip()?,
            }
            Ok(())
        })?;
        if is_object {
            let name = fields.iter().rev().find(|(key, _)| key == "event").map(|(_, value)| value);
            let name = name.and_then(Value::scalar_text).unwrap_or_else(|| "log".into());
            fields.retain(|(key, _)| key != "event");
            events.push(SpanEvent { name, attributes: Map::from_entries(fields) });
        }
        Ok(())
    })?;
    Ok(events)
}
