//! Spans and log records as the decoders of both formats hand them on.

use std::borrow::Cow;

use super::ids::{Id, SPAN_ID_BYTES, TRACE_ID_BYTES};
use super::integer::Integer;
use super::model::{LogRecord, Span};

/// Repairs and omissions of lenient decoding in one item; the builder turns them into warnings.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Notes {
    pub(super) base64_ids: bool,
    pub(super) odd_ids: bool,
    pub(super) bad_parent: bool,
    pub(super) bad_times: u32,
    pub(super) bad_values: u32,
    pub(super) deep_values: u32,
    /// Attributes that the SDK dropped at its limits, of the item and its events.
    pub(super) dropped_attributes: u32,
    /// Events that the SDK dropped at its limits.
    pub(super) dropped_events: u32,
}

/// Why an item is rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rejection {
    /// No trace id or no span id.
    NoId,
    /// An id is all zeros.
    InvalidId,
    /// The text cannot be decoded.
    Malformed,
}

/// A decoded span and the id of its trace.
pub(super) struct DecodedSpan<'a> {
    pub(super) trace_id: Cow<'a, str>,
    pub(super) span: Span<'a>,
    pub(super) notes: Notes,
}

/// A decoded log record and the span that it names.
pub(super) struct DecodedLog<'a> {
    pub(super) trace_id: Option<Cow<'a, str>>,
    pub(super) span_id: Option<Cow<'a, str>>,
    pub(super) log: LogRecord<'a>,
    pub(super) notes: Notes,
}

/// Reads the two ids without which a span cannot be placed in a tree.
pub(super) fn required_ids<'a>(
    trace_id: Option<Cow<'a, str>>,
    span_id: Option<Cow<'a, str>>,
    notes: &mut Notes,
) -> Result<(Cow<'a, str>, Cow<'a, str>), Rejection> {
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

/// Start and end; a time that cannot be read is replaced by the other, since a start of 0 would sort the span first.
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
