//! Decodes spans while the scan that finds them goes on.
//!
//! What is decoded ahead is a cache, looked up by where a span stands in its document. A span that the scan takes
//! back is never asked for, and one that was not decoded ahead is decoded when it is: nothing else depends on it.

use std::iter::Peekable;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::vec::IntoIter;

use rayon::prelude::*;

use super::decode::{DecodedSpan, Rejection};
use super::model::Origin;
use super::otlp_json;

/// Documents below this size are not worth a second thread.
const MIN_DOCUMENT_BYTES: usize = 1 << 20;

/// How much text is decoded at a time.
const BATCH_BYTES: usize = 512 * 1024;

type Decoded<'a> = Result<DecodedSpan<'a>, Rejection>;

/// Takes spans as they are found; by default it forgets them.
#[derive(Debug, Default)]
pub(super) struct Feed<'a> {
    sender: Option<Sender<Vec<&'a str>>>,
    batch: Vec<&'a str>,
    bytes: usize,
}

impl<'a> Feed<'a> {
    /// Offers a span of an export document.
    pub(super) fn offer(&mut self, json: &'a str) {
        if self.sender.is_none() {
            return;
        }
        self.batch.push(json);
        self.bytes += json.len();
        if self.bytes >= BATCH_BYTES {
            self.send();
        }
    }

    fn send(&mut self) {
        self.bytes = 0;
        let batch = std::mem::take(&mut self.batch);
        if let Some(sender) = &self.sender {
            // Nobody listens only if decoding panicked, which the scope reports.
            let _ = sender.send(batch);
        }
    }

    /// Says that there are no more.
    pub(super) fn close(&mut self) {
        self.send();
        self.sender = None;
    }
}

/// Spans that were decoded ahead, in the order of the document. Their origin is still to be set.
pub(super) struct Ahead<'a>(Peekable<IntoIter<(usize, Decoded<'a>)>>);

impl<'a> Ahead<'a> {
    /// Whether nothing is left.
    pub(super) fn is_empty(&mut self) -> bool {
        self.0.peek().is_none()
    }

    /// The decoded form of a span; spans are asked for in the order of the document.
    pub(super) fn take(&mut self, json: &str) -> Option<Decoded<'a>> {
        let place = json.as_ptr().addr();
        while self.0.next_if(|(before, _)| *before < place).is_some() {}
        self.0.next_if(|(at, _)| *at == place).map(|(_, decoded)| decoded)
    }
}

/// Runs a scan over a text and decodes the spans that it offers, if there are threads for both.
pub(super) fn while_scanning<'a, T>(text: &str, scan: impl FnOnce(Feed<'a>) -> T) -> (T, Ahead<'a>) {
    if text.len() < MIN_DOCUMENT_BYTES || rayon::current_num_threads() == 1 {
        return (scan(Feed::default()), Ahead(Vec::new().into_iter().peekable()));
    }
    let (sender, batches) = mpsc::channel();
    let mut decoded = Vec::new();
    let scanned = rayon::in_place_scope(|scope| {
        scope.spawn(|_| decode_batches(batches, &mut decoded));
        scan(Feed { sender: Some(sender), ..Feed::default() })
    });
    (scanned, Ahead(decoded.into_iter().peekable()))
}

fn decode_batches<'a>(batches: Receiver<Vec<&'a str>>, decoded: &mut Vec<(usize, Decoded<'a>)>) {
    let nowhere = Arc::new(Origin::default());
    for batch in batches {
        let spans = batch.into_par_iter().with_min_len(64);
        decoded.par_extend(spans.map(|json| (json.as_ptr().addr(), otlp_json::span(json, &nowhere))));
    }
}
