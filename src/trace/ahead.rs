//! Decodes spans while the scan that finds them goes on.
//!
//! The result is a cache, keyed by a span's address in the text. It cannot change what is read: a span that the scan
//! takes back is never asked for, and one that is missing here is decoded when it is asked for.

use std::iter::Peekable;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::vec::IntoIter;

use rayon::prelude::*;

use super::decoded::{DecodedSpan, Rejection};
use super::model::Origin;
use super::otlp_json;

/// Documents below this size are not worth a second thread.
const MIN_DOCUMENT_BYTES: usize = 1 << 20;

/// How much text is decoded at a time.
const BATCH_BYTES: usize = 512 * 1024;

type Decoded<'a> = Result<DecodedSpan<'a>, Rejection>;

/// Passes spans to the decoding threads as the scan finds them; the default has no threads and drops them.
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
            // Fails only if the receiver is gone because decoding panicked; the rayon scope raises that panic.
            let _ = sender.send(batch);
        }
    }

    /// Sends the rest and ends the decoding; without this `while_scanning` would wait for ever.
    pub(super) fn close(&mut self) {
        self.send();
        self.sender = None;
    }
}

/// Spans that were decoded ahead, in the order of the document. Their origin is a placeholder: the scan knows it only
/// at the end of the resource.
pub(super) struct Ahead<'a>(Peekable<IntoIter<(usize, Decoded<'a>)>>);

impl<'a> Ahead<'a> {
    /// Whether nothing is left.
    pub(super) fn is_empty(&mut self) -> bool {
        self.0.peek().is_none()
    }

    /// The decoded form of a span. The caller asks in the order of the document, so earlier spans are dropped.
    pub(super) fn take(&mut self, json: &str) -> Option<Decoded<'a>> {
        let place = json.as_ptr().addr();
        while self.0.next_if(|(before, _)| *before < place).is_some() {}
        self.0.next_if(|(at, _)| *at == place).map(|(_, decoded)| decoded)
    }
}

/// Runs a scan over a text; a large text's spans are decoded meanwhile, if the rayon pool has a second thread.
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
