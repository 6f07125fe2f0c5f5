//! Decodes what a scan found, in parallel where there is enough, and hands it to the builder in order.

use rayon::prelude::*;

use super::build::Builder;
use super::scan::{Found, Raw};
use super::{Document, jaeger, otlp_json};

/// Items decoded before they are handed over: bounds what is alive twice, and is plenty for every core.
const CHUNK: usize = 8 * 1024;

/// Below this many bytes a chunk is decoded on the calling thread; waking others would cost more.
const PARALLEL_BYTES: usize = 256 * 1024;

/// Decodes everything in `found` into `builder`, in the order of the document.
pub(super) fn decode<'a>(document: &Document, found: Found<'a>, builder: &mut Builder<'a>) {
    builder.misplaced(document.name(), found.misplaced);
    let (origins, processes) = (&found.origins, &found.processes);
    let place = |raw: &Raw<'a>| raw.json.as_ptr().addr() - document.text().as_ptr().addr();
    for chunk in found.spans.chunks(CHUNK) {
        let spans = map_in_order(chunk, |raw| otlp_json::span(raw.json, &origins[raw.origin as usize]));
        for (raw, span) in chunk.iter().zip(spans) {
            builder.add_span(span, document, place(raw));
        }
    }
    for chunk in found.jaeger_spans.chunks(CHUNK) {
        let spans = map_in_order(chunk, |raw| jaeger::span(raw.json, &processes[raw.origin as usize]));
        for (raw, span) in chunk.iter().zip(spans) {
            builder.add_span(span, document, place(raw));
        }
    }
    for chunk in found.logs.chunks(CHUNK) {
        for (raw, log) in chunk.iter().zip(map_in_order(chunk, |raw| otlp_json::log_record(raw.json))) {
            builder.add_log(log, document, place(raw));
        }
    }
}

fn map_in_order<'a, T: Send>(chunk: &[Raw<'a>], decode: impl Fn(&Raw<'a>) -> T + Sync + Send) -> Vec<T> {
    let bytes: usize = chunk.iter().map(|raw| raw.json.len()).sum();
    if bytes < PARALLEL_BYTES {
        return chunk.iter().map(decode).collect();
    }
    chunk.par_iter().with_min_len(64).map(decode).collect()
}
