//! Decodes the items that a scan found, in parallel if there are many, and hands them to the builder in order.

use std::sync::Arc;

use rayon::prelude::*;

use super::ahead::Ahead;
use super::build::Builder;
use super::containers::{Found, Raw};
use super::document::Document;
use super::model::Origin;
use super::{jaeger, otlp_json};

/// Items decoded before they are handed over: few enough to bound memory, many enough to occupy every core.
const CHUNK: usize = 4 * 1024;

/// Fewest items that rayon gives a thread at a time.
const MIN_ITEMS: usize = 64;

/// Below this many bytes items are decoded on the calling thread, since waking others would cost more.
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

/// Decodes items in chunks and hands each item to `add`, in order; while one chunk is added, the next is decoded.
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
