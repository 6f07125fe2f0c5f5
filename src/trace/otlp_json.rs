//! Decodes single spans and log records of OTLP JSON.
//!
//! Members may be spelled in camel or in snake case anywhere. Reading is lenient about types, and [`Notes`]
//! says what leniency had to give up.

use std::borrow::Cow;
use std::sync::Arc;

use super::ids::{Id, SPAN_ID_BYTES, TRACE_ID_BYTES};
use super::model::{LogRecord, Origin, Span, SpanEvent, Status};
use crate::json::{Map, Reader, SyntaxError, Token, Value, parse_float, parse_int};

type Result<T> = std::result::Result<T, SyntaxError>;

/// What was mended or given up while decoding one item.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Notes {
    pub(super) base64_ids: bool,
    pub(super) odd_ids: bool,
    pub(super) bad_parent: bool,
    pub(super) bad_times: u32,
    pub(super) bad_values: u32,
    pub(super) deep_values: u32,
}

/// Why an item cannot be used at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rejection {
    /// No trace id or no span id.
    NoId,
    /// An id is all zeros.
    InvalidId,
    /// The text cannot be decoded.
    Malformed,
}

/// A decoded span and the trace it belongs to.
pub(super) struct DecodedSpan<'a> {
    pub(super) trace_id: Cow<'a, str>,
    pub(super) span: Span<'a>,
    pub(super) notes: Notes,
}

/// A decoded log record and the span it names.
pub(super) struct DecodedLog<'a> {
    pub(super) trace_id: Option<Cow<'a, str>>,
    pub(super) span_id: Option<Cow<'a, str>>,
    pub(super) log: LogRecord<'a>,
    pub(super) notes: Notes,
}

/// Deepest nesting of attribute values that is followed.
const MAX_VALUE_DEPTH: usize = 64;

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
        status: Status::Unset,
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

/// The two ids without which a span cannot be placed.
pub(super) fn required_ids<'a>(
    trace_id: Option<Cow<'a, str>>,
    span_id: Option<Cow<'a, str>>,
    notes: &mut Notes,
) -> std::result::Result<(Cow<'a, str>, Cow<'a, str>), Rejection> {
    let ids = [Id::read(trace_id, TRACE_ID_BYTES), Id::read(span_id, SPAN_ID_BYTES)];
    for id in &ids {
        match id {
            Id::Absent => return Err(Rejection::NoId),
            Id::Invalid => return Err(Rejection::InvalidId),
            Id::FromBase64(_) => notes.base64_ids = true,
            Id::Odd(_) => notes.odd_ids = true,
            Id::Known(_) => {}
        }
    }
    let [trace_id, span_id] = ids.map(Id::into_known);
    trace_id.zip(span_id).ok_or(Rejection::NoId)
}

/// Start and end; where one cannot be read the other stands in, so that a span never starts at the epoch.
pub(super) fn times(start: Integer, end: Integer, notes: &mut Notes) -> (i64, i64) {
    notes.bad_times += u32::from(start == Integer::Malformed) + u32::from(end == Integer::Malformed);
    let known = |time: Integer| match time {
        Integer::Value(nanos) => Some(nanos),
        Integer::Absent => Some(0),
        Integer::Malformed => None,
    };
    match (known(start), known(end)) {
        (Some(start), Some(end)) => (start, end),
        (Some(time), None) | (None, Some(time)) => (time, time),
        (None, None) => (0, 0),
    }
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
            _ => reader.skip()?,
        }
        Ok(())
    });
    outcome.map_err(|_| Rejection::Malformed)?;
    let event_name = event_name.or_else(|| {
        let named = ["otel.event.name", "event.name"].iter().find_map(|key| map.get(key));
        named.and_then(Value::as_str).map(|name| Cow::Owned(name.to_owned()))
    });
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

fn events<'a>(reader: &mut Reader<'a>, notes: &mut Notes) -> Result<Vec<SpanEvent<'a>>> {
    let mut events = Vec::new();
    reader.array(|reader| {
        let (mut name, mut map) = (Cow::Borrowed(""), Map::default());
        let is_object = reader.object(|reader, key| {
            match key {
                "name" => name = reader.string()?.unwrap_or_default(),
                "attributes" => map = attributes(reader, notes)?,
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

fn status(reader: &mut Reader<'_>) -> Result<Status> {
    let mut status = Status::Unset;
    reader.object(|reader, key| {
        if key != "code" {
            return reader.skip();
        }
        let code = reader.value()?;
        status = match (&code, code.as_int()) {
            (Value::Str(name), _) if name == "STATUS_CODE_OK" => Status::Ok,
            (Value::Str(name), _) if name == "STATUS_CODE_ERROR" => Status::Error,
            (_, Some(1)) => Status::Ok,
            (_, Some(2)) => Status::Error,
            _ => Status::Unset,
        };
        Ok(())
    })?;
    Ok(status)
}

/// Reads attributes: a list of key and value, or a map, whose nested maps become dotted keys.
pub(super) fn attributes<'a>(reader: &mut Reader<'a>, notes: &mut Notes) -> Result<Map<'a>> {
    let mut entries = Vec::new();
    if reader.peek()? == Token::Map {
        if let Value::Map(map) = reader.value()? {
            flatten(&map, "", &mut entries, 0, notes);
        }
        return Ok(Map::from_entries(entries));
    }
    reader.array(|reader| {
        let (mut name, mut value) = (None, None);
        reader.object(|reader, key| {
            match key {
                "key" => name = reader.string()?,
                "value" => value = any_value(reader, notes, 0)?,
                _ => reader.skip()?,
            }
            Ok(())
        })?;
        entries.extend(name.zip(value));
        Ok(())
    })?;
    Ok(Map::from_entries(entries))
}

fn flatten<'a>(
    map: &Map<'a>,
    prefix: &str,
    entries: &mut Vec<(Cow<'a, str>, Value<'a>)>,
    depth: usize,
    notes: &mut Notes,
) {
    for (key, value) in map.iter() {
        let dotted = if prefix.is_empty() { key.clone() } else { Cow::Owned(format!("{prefix}.{key}")) };
        match value {
            Value::Map(inner) if depth < MAX_VALUE_DEPTH => {
                flatten(inner, &dotted, entries, depth + 1, notes);
            }
            Value::Map(_) => notes.deep_values += 1,
            _ => entries.push((dotted, value.clone())),
        }
    }
}

/// The members of an `AnyValue`, in the order in which the first present one is taken.
const VALUE_MEMBERS: [(&str, &str); 7] = [
    ("stringValue", "string_value"),
    ("boolValue", "bool_value"),
    ("intValue", "int_value"),
    ("doubleValue", "double_value"),
    ("bytesValue", "bytes_value"),
    ("arrayValue", "array_value"),
    ("kvlistValue", "kvlist_value"),
];

/// Reads an `AnyValue`; `None` when it has none of the seven members or its value cannot be read.
///
/// Bytes become null: nothing that is extracted from traces is bytes.
fn any_value<'a>(reader: &mut Reader<'a>, notes: &mut Notes, depth: usize) -> Result<Option<Value<'a>>> {
    let mut best: Option<(usize, Option<Value<'a>>)> = None;
    reader.object(|reader, key| {
        let rank = VALUE_MEMBERS.iter().position(|(camel, snake)| key == *camel || key == *snake);
        let Some(rank) = rank.filter(|rank| best.as_ref().is_none_or(|(taken, _)| rank < taken)) else {
            return reader.skip();
        };
        let value = match (rank, reader.peek()?) {
            (_, Token::Null) => return reader.skip(),
            (0, Token::Str) => reader.string()?.map(Value::Str),
            (0, _) => {
                let value = reader.value()?;
                Some(Value::Str(value.scalar_text().unwrap_or_else(|| value.to_json_text().into())))
            }
            (1, _) => Some(Value::Bool(match reader.value()? {
                Value::Str(text) => !matches!(&*text.trim().to_lowercase(), "" | "false" | "0"),
                other => other.is_truthy(),
            })),
            (2, _) => match integer(reader)? {
                Integer::Value(number) => Some(Value::Int(number)),
                Integer::Absent | Integer::Malformed => {
                    notes.bad_values += 1;
                    None
                }
            },
            (3, _) => match reader.value()? {
                Value::Float(number) => Some(Value::Float(number)),
                Value::Int(number) => Some(Value::Float(number as f64)),
                Value::Str(text) => Some(parse_float(&text).map_or(Value::Null, Value::Float)),
                _ => Some(Value::Null),
            },
            (4, _) => {
                reader.skip()?;
                Some(Value::Null)
            }
            _ if depth >= MAX_VALUE_DEPTH => {
                notes.deep_values += 1;
                reader.skip()?;
                Some(Value::Null)
            }
            (5, _) => Some(Value::List(array_values(reader, notes, depth)?)),
            _ => Some(Value::Map(key_values(reader, notes, depth)?)),
        };
        best = Some((rank, value));
        Ok(())
    })?;
    Ok(best.and_then(|(_, value)| value))
}

fn array_values<'a>(reader: &mut Reader<'a>, notes: &mut Notes, depth: usize) -> Result<Vec<Value<'a>>> {
    let mut items = Vec::new();
    reader.object(|reader, key| {
        if key != "values" {
            return reader.skip();
        }
        reader.array(|reader| {
            match reader.peek()? {
                Token::Map => items.push(any_value(reader, notes, depth + 1)?.unwrap_or_default()),
                _ => reader.skip()?,
            }
            Ok(())
        })?;
        Ok(())
    })?;
    Ok(items)
}

fn key_values<'a>(reader: &mut Reader<'a>, notes: &mut Notes, depth: usize) -> Result<Map<'a>> {
    let mut entries = Vec::new();
    reader.object(|reader, key| {
        if key != "values" {
            return reader.skip();
        }
        reader.array(|reader| {
            let (mut name, mut value) = (None, Value::Null);
            reader.object(|reader, key| {
                match key {
                    "key" => name = reader.string()?,
                    "value" => value = any_value(reader, notes, depth + 1)?.unwrap_or_default(),
                    _ => reader.skip()?,
                }
                Ok(())
            })?;
            entries.extend(name.map(|name| (name, value)));
            Ok(())
        })?;
        Ok(())
    })?;
    Ok(Map::from_entries(entries))
}

/// An integer member, read leniently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Integer {
    /// Not there, null or an empty string.
    Absent,
    /// The number; booleans count as 0.
    Value(i64),
    /// There, but not a number.
    Malformed,
}

/// Reads an integer from a number or a string, exactly, however it is written.
pub(super) fn integer(reader: &mut Reader<'_>) -> Result<Integer> {
    Ok(match reader.peek()? {
        Token::Null => {
            reader.skip()?;
            Integer::Absent
        }
        Token::Bool => {
            reader.skip()?;
            Integer::Value(0)
        }
        Token::Number => exact_integer(reader.raw()?),
        Token::Str => {
            let text = reader.string()?.unwrap_or_default();
            if text.trim().is_empty() { Integer::Absent } else { exact_integer(&text) }
        }
        Token::List | Token::Map => {
            reader.skip()?;
            Integer::Malformed
        }
    })
}

/// The integer part of a decimal number, computed on its digits: `1.7000000000010004e18` loses nothing.
pub(super) fn exact_integer(text: &str) -> Integer {
    if let Some(number) = parse_int(text) {
        return Integer::Value(number);
    }
    let text = text.trim();
    let (negative, unsigned) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (mantissa, exponent) = unsigned.split_once(['e', 'E']).unwrap_or((unsigned, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = whole.bytes().chain(fraction.bytes());
    let exponent = exponent.parse::<i32>();
    if whole.len() + fraction.len() == 0 || !digits.clone().all(|byte| byte.is_ascii_digit()) {
        return Integer::Malformed;
    }
    let Ok(exponent) = exponent else {
        return Integer::Malformed;
    };
    let kept = (whole.len() as i64 + i64::from(exponent)).clamp(0, 20) as usize;
    let mut number: i128 = 0;
    for digit in digits.map(|byte| i128::from(byte - b'0')).chain(std::iter::repeat(0)).take(kept) {
        number = number * 10 + digit;
    }
    let signed = if negative { -number } else { number };
    Integer::Value(signed.clamp(i128::from(i64::MIN), i128::from(i64::MAX)) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_exact_however_they_are_written() {
        for (text, number) in [
            ("1700000000001000003", 1_700_000_000_001_000_003),
            ("1.700000000001000003e18", 1_700_000_000_001_000_003),
            ("9007199254740993.0", 9_007_199_254_740_993),
            ("-1.9", -1),
            ("5e-1", 0),
            ("1e400", i64::MAX),
            ("12E2", 1200),
        ] {
            assert_eq!(exact_integer(text), Integer::Value(number), "{text}");
        }
        for text in ["", ".", "abc", "1e", "0x10", "1 2"] {
            assert_eq!(exact_integer(text), Integer::Malformed, "{text}");
        }
    }

    #[test]
    fn the_first_present_member_of_a_value_wins() {
        let read = |json: &str| {
            let mut notes = Notes::default();
            let value = any_value(&mut Reader::new(json), &mut notes, 0).unwrap();
            (value.map(|value| value.to_json_text()), notes.bad_values)
        };
        assert_eq!(read(r#"{"intValue":"7","stringValue":"s"}"#), (Some("\"s\"".into()), 0));
        assert_eq!(read(r#"{"boolValue":"false"}"#), (Some("false".into()), 0));
        assert_eq!(read(r#"{"intValue":"seven"}"#), (None, 1));
        assert_eq!(read(r#"{"doubleValue":"NaN"}"#), (Some("NaN".into()), 0));
        assert_eq!(read(r#"{"arrayValue":{"values":[{"intValue":1},3,{}]}}"#), (Some("[1, null]".into()), 0));
        assert_eq!(read(r#"{"bytesValue":"AAA="}"#), (Some("null".into()), 0));
        assert_eq!(read("{}"), (None, 0));
    }
}
