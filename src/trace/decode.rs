//! Decodes what a scan found, in parallel where there is enough, and hands it to the builder in order.

use std::borrow::Cow;
use std::sync::Arc;

use rayon::prelude::*;

use super::ahead::Ahead;
use super::attributes::Integer;
use super::build::Builder;
use super::containers::{Found, Raw};
use super::ids::{Id, SPAN_ID_BYTES, TRACE_ID_BYTES};
use super::model::{LogRecord, Origin, Span};
use super::{Document, jaeger, otlp_json};

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

/// Items decoded before they are handed over: bounds what is alive twice, and is plenty for every core.
const CHUNK: usize = 4 * 1024;

/// Items that one thread takes at a time.
const MIN_ITEMS: usize = 64;

/// Below this many bytes items are decoded on the calling thread; waking others would cost more.
const PARALLEL_BYTES: usize = 256 * 1024;

/// Decodes everything in `found` into `builder`, in the order of the document.
pub(super) fn decode<'a>(
    document: &Document,
    found: Found<'a>,
    mut ahead: Ahead<'a>,
    builder: &mut Builder<'a>,
) {
    builder.misplaced(document.name(), found.misplaced);
    builder.unreadable_resources(document.name(), found.bad_resource_values);
    let Found { spans, bare_spans, logs, jaeger_spans, origins, processes, .. } = found;
    let nowhere = Arc::new(Origin::default());
    let place = |json: &str| json.as_ptr().addr() - document.text().as_ptr().addr();
    let in_export = |raw: &Raw<'a>| otlp_json::span(raw.json, &origins[raw.origin as usize]);
    if ahead.is_empty() {
        decode_each(&spans, in_export, |span, json| builder.add_span(span, document, place(json)));
    } else {
        for raw in &spans {
            let mut span = ahead.take(raw.json).unwrap_or_else(|| in_export(raw));
            if let Ok(decoded) = &mut span {
                decoded.span.origin = origins[raw.origin as usize].clone();
            }
            builder.add_span(span, document, place(raw.json));
        }
    }
    let bare = |raw: &Raw<'a>| otlp_json::span(raw.json, &nowhere);
    decode_each(&bare_spans, bare, |span, json| builder.add_span(span, document, place(json)));
    let jaeger = |raw: &Raw<'a>| jaeger::span(raw.json, &processes[raw.origin as usize]);
    decode_each(&jaeger_spans, jaeger, |span, json| builder.add_span(span, document, place(json)));
    let log = |raw: &Raw<'a>| otlp_json::log_record(raw.json);
    decode_each(&logs, log, |log, json| builder.add_log(log, document, place(json)));
}

/// Decodes items chunk by chunk and hands each to `add`, in order; while one chunk is added, the next is decoded.
fn decode_each<'a, T: Send>(
    items: &[Raw<'a>],
    decode: impl Fn(&Raw<'a>) -> T + Sync + Send,
    mut add: impl FnMut(T, &'a str) + Send,
) {
    let bytes: usize = items.iter().map(|raw| raw.json.len()).sum();
    if bytes < PARALLEL_BYTES {
        return items.iter().for_each(|raw| add(decode(raw), raw.json));
    }
    let decode_chunk =
        |chunk: &[Raw<'a>]| -> Vec<T> { chunk.par_iter().with_min_len(MIN_ITEMS).map(&decode).collect() };
    let mut add_chunk = |(chunk, decoded): (&[Raw<'a>], Vec<T>)| {
        chunk.iter().zip(decoded).for_each(|(raw, item)| add(item, raw.json));
    };
    let mut ready: Option<(&[Raw<'a>], Vec<T>)> = None;
    for chunk in items.chunks(CHUNK) {
        let (decoded, ()) = rayon::join(
            || decode_chunk(chunk),
            || {
                if let Some(ready) = ready.take() {
                    add_chunk(ready);
                }
            },
        );
        ready = Some((chunk, decoded));
    }
    if let Some(ready) = ready {
        add_chunk(ready);
    }
}
