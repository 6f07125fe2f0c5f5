//! Decodes single spans and log records of OTLP JSON.
//!
//! Members may be spelled in camel or in snake case anywhere. Reading is lenient about types; [`Notes`] records each
//! value that was mended or left out.

use std::borrow::Cow;
use std::sync::Arc;

use super::attributes::{any_value, attributes};
use super::decoded::{DecodedLog, DecodedSpan, Notes, Rejection, required_ids, times};
use super::ids::{Id, SPAN_ID_BYTES, TRACE_ID_BYTES};
use super::integer::{Integer, integer};
use super::model::{LogRecord, Origin, Span, SpanEvent, SpanStatus};
use crate::json::{Map, Reader, SyntaxError, Value};

type Result<T> = std::result::Result<T, SyntaxError>;

/// Decodes one span.
pub(super) fn span<'a>(
    json: &'a str,
    origin: &Arc<Origin<'a>>,
) -> std::result::Result<DecodedSpan<'a>, Rejection> {
    let mut notes = Notes::default();
    let (mut trace_id, mut span_id, mut parent_id) = (None, None, None);
    let mut span = Span {
        id: Cow::Borrowed(""),
        parent_id: None,
        name: Cow::Borrowed(""),
        start_unix_nanos: 0,
        end_unix_nanos: 0,
        status: SpanStatus::Unset,
        attributes: Map::default(),
        events: Vec::new(),
        origin: origin.clone(),
    };
    let (mut start, mut end) = (Integer::Absent, Integer::Absent);
    let outcome = Reader::new(json).object(|reader, key| {
        match key {
            "traceId" | "trace_id" => trace_id = reader.string()?,
            "spanId" | "span_id" => span_id = reader.string()?,
            "parentSpanId" | "parent_span_id" => parent_id = reader.string()?,
            "name" => span.name = reader.string()?.unwrap_or_default(),
            "startTimeUnixNano" | "start_time_unix_nano" => start = integer(reader)?,
            "endTimeUnixNano" | "end_time_unix_nano" => end = integer(reader)?,
            "attributes" => span.attributes = attributes(reader, &mut notes)?,
            "events" => span.events = events(reader, &mut notes)?,
            "status" => span.status = status(reader)?,
            "droppedAttributesCount" | "dropped_attributes_count" => {
                notes.dropped_attributes = notes.dropped_attributes.saturating_add(count(reader)?)
            }
            "droppedEventsCount" | "dropped_events_count" => {
                notes.dropped_events = notes.dropped_events.saturating_add(count(reader)?)
            }
            _ => reader.skip()?,
        }
        Ok(())
    });
    outcome.map_err(|_| Rejection::Malformed)?;
    let (trace_id, id) = required_ids(trace_id, span_id, &mut notes)?;
    span.id = id;
    let parent = Id::read(parent_id, SPAN_ID_BYTES);
    notes.bad_parent = parent == Id::Invalid;
    span.parent_id = parent.into_known();
    (span.start_unix_nanos, span.end_unix_nanos) = times(start, end, &mut notes);
    Ok(DecodedSpan { trace_id, span, notes })
}

/// Decodes one log record.
pub(super) fn log_record<'a>(json: &'a str) -> std::result::Result<DecodedLog<'a>, Rejection> {
    let mut notes = Notes::default();
    let (mut trace_id, mut span_id, mut event_name) = (None, None, None);
    let (mut time, mut observed) = (Integer::Absent, Integer::Absent);
    let (mut body, mut map) = (Value::Null, Map::default());
    let outcome = Reader::new(json).object(|reader, key| {
        match key {
            "traceId" | "trace_id" => trace_id = reader.string()?,
            "spanId" | "span_id" => span_id = reader.string()?,
            "eventName" | "event_name" => event_name = reader.string()?.filter(|name| !name.is_empty()),
            "timeUnixNano" | "time_unix_nano" => time = integer(reader)?,
            "observedTimeUnixNano" | "observed_time_unix_nano" => observed = integer(reader)?,
            "body" => body = any_value(reader, &mut notes, 0)?.unwrap_or_default(),
            "attributes" => map = attributes(reader, &mut notes)?,
            "droppedAttributesCount" | "dropped_attributes_count" => {
                notes.dropped_attributes = notes.dropped_attributes.saturating_add(count(reader)?)
            }
            _ => reader.skip()?,
        }
        Ok(())
    });
    outcome.map_err(|_| Rejection::Malformed)?;
    let event_name = event_name.or_else(|| {
        let named = ["otel.event.name", "event.name"].iter().find_map(|key| map.get(key));
        named.and_then(Value::as_str).map(|name| Cow::Owned(name.to_owned()))
    });
    notes.bad_times +=
        [time, observed].iter().map(|time| u32::from(*time == Integer::Malformed)).sum::<u32>();
    let times = [time, observed].map(|time| if let Integer::Value(nanos) = time { nanos } else { 0 });
    let trace_id = Id::read(trace_id, TRACE_ID_BYTES).into_known();
    let span_id = Id::read(span_id, SPAN_ID_BYTES).into_known().filter(|_| trace_id.is_some());
    let log = LogRecord {
        event_name,
        time_unix_nanos: if times[0] != 0 { times[0] } else { times[1] },
        body,
        attributes: map,
        has_span_id: span_id.is_some(),
    };
    Ok(DecodedLog { trace_id, span_id, log, notes })
}

/// A count, which says nothing where it cannot be read.
fn count(reader: &mut Reader<'_>) -> Result<u32> {
    Ok(match integer(reader)? {
        Integer::Value(number) => u32::try_from(number.max(0)).unwrap_or(u32::MAX),
        _ => 0,
    })
}

fn events<'a>(reader: &mut Reader<'a>, notes: &mut Notes) -> Result<Vec<SpanEvent<'a>>> {
    let mut events = Vec::new();
    reader.array(|reader| {
        let (mut name, mut map) = (Cow::Borrowed(""), Map::default());
        let is_object = reader.object(|reader, key| {
            match key {
                "name" => name = reader.string()?.unwrap_or_default(),
                "attributes" => map = attributes(reader, notes)?,
                "droppedAttributesCount" | "dropped_attributes_count" => {
                    notes.dropped_attributes = notes.dropped_attributes.saturating_add(count(reader)?);
                }
                _ => reader.skip()?,
            }
            Ok(())
        })?;
        if is_object {
            events.push(SpanEvent { name, attributes: map });
        }
        Ok(())
    })?;
    Ok(events)
}

fn status(reader: &mut Reader<'_>) -> Result<SpanStatus> {
    let mut status = SpanStatus::Unset;
    reader.object(|reader, key| {
        if key != "code" {
            return reader.skip();
        }
        let code = reader.value()?;
        status = match (&code, code.as_int()) {
            (Value::Str(name), _) if name == "STATUS_CODE_OK" => SpanStatus::Ok,
            (Value::Str(name), _) if name == "STATUS_CODE_ERROR" => SpanStatus::Error,
            (_, Some(1)) => SpanStatus::Ok,
            (_, Some(2)) => SpanStatus::Error,
            _ => SpanStatus::Unset,
        };
        Ok(())
    })?;
    Ok(status)
}
