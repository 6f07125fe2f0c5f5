//! Groups spans by trace, joins log records, and derives the tree.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use rayon::prelude::*;

use super::decoded::{DecodedLog, DecodedSpan, Notes, Rejection};
use super::document::Document;
use super::ids::join_key;
use super::model::{LogRecord, Span, Trace, Warning, Warnings};
use crate::json::SyntaxError;

/// From this many traces the trees are derived on all cores.
const PARALLEL_TRACES: usize = 64;

/// Collects decoded spans and log records of all documents.
#[derive(Default)]
pub(super) struct Builder<'a> {
    traces: Vec<Draft<'a>>,
    by_id: HashMap<Cow<'a, str>, usize>,
    logs: Vec<PendingLog<'a>>,
    rejected: BTreeMap<(String, Signal, Rejection), Rejected>,
    /// Data that the SDK dropped from log records.
    dropped_of_logs: Dropped,
    warnings: Warnings,
}

/// Data that the SDK dropped at its limits before it was sent.
#[derive(Default)]
struct Dropped {
    /// Items that lost attributes, and how many.
    attributes: (usize, u64),
    /// Items that lost events, and how many.
    events: (usize, u64),
}

impl Dropped {
    fn of<'n>(notes: impl Iterator<Item = &'n Notes>) -> Self {
        let mut dropped = Self::default();
        notes.for_each(|notes| dropped.add(notes));
        dropped
    }

    fn add(&mut self, notes: &Notes) {
        for (lost, count) in
            [(&mut self.attributes, notes.dropped_attributes), (&mut self.events, notes.dropped_events)]
        {
            lost.0 += usize::from(count > 0);
            lost.1 += u64::from(count);
        }
    }

    /// Warns that `items` lost something, since messages or calls may have been part of it. The SDK's limits for them
    /// are the variables that begin with `OTEL_` and `signal`.
    fn warn(&self, items: &str, signal: &str, warnings: &mut Warnings) {
        for ((count, lost), code, what, member, limit) in [
            (self.attributes, "attributes_dropped", "attributes", "droppedAttributesCount", "ATTRIBUTE"),
            (self.events, "events_dropped", "events", "droppedEventsCount", "EVENT"),
        ] {
            if count > 0 {
                let text = format!(
                    "{count} {items} lost {lost} {what} ({member}); messages or tool calls may be missing; raise \
                     OTEL_{signal}_{limit}_COUNT_LIMIT"
                );
                warnings.push(code, text);
            }
        }
    }
}

/// A trace while its spans arrive. `finish` derives the tree, for many traces on all cores.
struct Draft<'a> {
    id: Cow<'a, str>,
    /// Name of the document in which it was first seen.
    document: String,
    /// In the order read; an id may occur twice.
    spans: Vec<Span<'a>>,
    /// Notes on single spans, by index into `spans`.
    notes: Vec<(usize, Notes)>,
    /// Log records with the span that each names.
    logs: Vec<(Option<Cow<'a, str>>, LogRecord<'a>)>,
}

struct PendingLog<'a> {
    trace_id: Option<Cow<'a, str>>,
    span_id: Option<Cow<'a, str>>,
    log: LogRecord<'a>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Signal {
    Spans,
    Logs,
}

struct Rejected {
    count: usize,
    first: SyntaxError,
}

impl<'a> Builder<'a> {
    /// Warns of values in a document's containers that are of the wrong type.
    pub(super) fn misplaced(&mut self, document: &str, count: usize) {
        if count > 0 {
            let text = format!("`{document}`: {count} items are not the object or list that belongs there");
            self.warnings.push("items_rejected", text);
        }
    }

    /// Warns of resource attributes that could not be read.
    pub(super) fn unreadable_resources(&mut self, document: &str, count: usize) {
        if count > 0 {
            let text = format!("`{document}`: {count} attributes of resources could not be read; left out");
            self.warnings.push("attribute_unreadable", text);
        }
    }

    /// Adds a span, or counts its rejection; `offset` is its place in the document.
    pub(super) fn add_span(
        &mut self,
        span: Result<DecodedSpan<'a>, Rejection>,
        document: &Document,
        offset: usize,
    ) {
        let decoded = match span {
            Ok(decoded) => decoded,
            Err(rejection) => return self.reject(Signal::Spans, rejection, document, offset),
        };
        let key = shared_join_key(&decoded.trace_id);
        let index = *self.by_id.entry(key).or_insert_with(|| {
            let id = decoded.trace_id.clone();
            let document = document.name().to_owned();
            self.traces.push(Draft { id, document, spans: Vec::new(), notes: Vec::new(), logs: Vec::new() });
            self.traces.len() - 1
        });
        let draft = &mut self.traces[index];
        if decoded.notes != Notes::default() {
            draft.notes.push((draft.spans.len(), decoded.notes));
        }
        draft.spans.push(decoded.span);
    }

    /// Adds a log record, or counts its rejection.
    pub(super) fn add_log(
        &mut self,
        log: Result<DecodedLog<'a>, Rejection>,
        document: &Document,
        offset: usize,
    ) {
        match log {
            Ok(DecodedLog { trace_id, span_id, log, notes }) => {
                self.dropped_of_logs.add(&notes);
                note_warnings(&mut self.warnings, &notes, || "a log record".into());
                self.logs.push(PendingLog { trace_id, span_id, log });
            }
            Err(rejection) => self.reject(Signal::Logs, rejection, document, offset),
        }
    }

    fn reject(&mut self, signal: Signal, rejection: Rejection, document: &Document, offset: usize) {
        let key = (document.name().to_owned(), signal, rejection);
        let first = || SyntaxError::new("", document.text(), offset);
        self.rejected.entry(key).or_insert_with(|| Rejected { count: 0, first: first() }).count += 1;
    }

    /// Joins the log records and derives the trees; returns traces, warnings and the number of log records read.
    pub(super) fn finish(mut self) -> (Vec<Trace<'a>>, Vec<Warning>, usize) {
        let log_records = self.logs.len();
        self.dropped_of_logs.warn("log records", "LOGRECORD", &mut self.warnings);
        let mut unattributed = 0;
        for PendingLog { trace_id, span_id, log } in self.logs {
            match trace_id.and_then(|id| self.by_id.get(join_key(&id))) {
                Some(trace) => self.traces[*trace].logs.push((span_id, log)),
                None => unattributed += 1,
            }
        }
        if unattributed > 0 {
            let text = format!("{unattributed} log records name no trace that was read; they are not used");
            self.warnings.push("logs_unattributed", text);
        }
        for ((document, signal, rejection), Rejected { count, first }) in &self.rejected {
            let (code, what) = match signal {
                Signal::Spans => ("spans_rejected", "spans"),
                Signal::Logs => ("logs_rejected", "log records"),
            };
            let reason = match rejection {
                Rejection::NoId => "no trace id or no span id",
                Rejection::InvalidId => "an id of zeros only",
                Rejection::Malformed => "text that cannot be decoded",
            };
            let (line, column) = (first.line, first.column);
            let place = format!("first at line {line} column {column}");
            self.warnings.push(code, format!("`{document}`: {count} {what} rejected for {reason}, {place}"));
        }
        let traces = match self.traces.len() {
            0..PARALLEL_TRACES => self.traces.into_iter().map(Draft::finish).collect(),
            _ => self.traces.into_par_iter().map(Draft::finish).collect(),
        };
        (traces, self.warnings.to_vec(), log_records)
    }
}

/// The join key of an id; borrowed from the document if the id is.
fn shared_join_key<'a>(id: &Cow<'a, str>) -> Cow<'a, str> {
    match id {
        Cow::Borrowed(id) => Cow::Borrowed(join_key(id)),
        Cow::Owned(id) => Cow::Owned(join_key(id).to_owned()),
    }
}

impl<'a> Draft<'a> {
    /// Drops duplicate spans, joins the log records and derives the tree.
    fn finish(self) -> Trace<'a> {
        let Self { id, document, mut spans, notes, logs: joined } = self;
        let mut warnings = Warnings::default();
        Dropped::of(notes.iter().map(|(_, notes)| notes)).warn("spans", "SPAN", &mut warnings);
        let by_id = index_by_id(&mut spans, notes, &mut warnings);
        let parents = effective_parents(&spans, &by_id, &mut warnings);
        let mut children = vec![Vec::new(); spans.len()];
        let mut roots = Vec::new();
        let mut order: Vec<u32> = (0..spans.len() as u32).collect();
        order.sort_by(|a, b| sort_key(&spans[*a as usize]).cmp(&sort_key(&spans[*b as usize])));
        for index in order {
            match parents[index as usize] {
                Some(parent) => children[parent as usize].push(index),
                None => roots.push(index),
            }
        }
        let mut logs = Vec::new();
        logs.resize_with(spans.len(), Vec::new);
        let mut orphan_logs = Vec::new();
        for (span_id, log) in joined {
            match span_id.and_then(|id| by_id.get(join_key(&id)).copied()) {
                Some(span) => logs[span as usize].push(log),
                None => orphan_logs.push(log),
            }
        }
        Trace { id, document, spans, children, roots, logs, orphan_logs, warnings }
    }
}

/// Indexes spans by join key; of spans with one id the first is kept.
fn index_by_id<'a>(
    spans: &mut Vec<Span<'a>>,
    notes: Vec<(usize, Notes)>,
    warnings: &mut Warnings,
) -> HashMap<Cow<'a, str>, u32> {
    let mut by_id = HashMap::with_capacity(spans.len());
    let mut notes = notes.into_iter().peekable();
    let (mut read, mut kept) = (0, 0);
    spans.retain(|span| {
        let own_notes = notes.next_if(|(index, _)| *index == read);
        read += 1;
        if by_id.contains_key(join_key(&span.id)) {
            warnings.push("span_duplicate", format!("duplicate span {} ignored", span.id));
            return false;
        }
        if let Some((_, notes)) = own_notes {
            note_warnings(warnings, &notes, || format!("span {}", span.id));
        }
        by_id.insert(shared_join_key(&span.id), kept);
        kept += 1;
        true
    });
    by_id
}

/// The parent of each span in the tree: a span that was read, not the span itself, and not one below it.
fn effective_parents(
    spans: &[Span<'_>],
    by_id: &HashMap<Cow<'_, str>, u32>,
    warnings: &mut Warnings,
) -> Vec<Option<u32>> {
    let mut parents: Vec<Option<u32>> = Vec::with_capacity(spans.len());
    for (index, span) in spans.iter().enumerate() {
        let parent = span.parent_id.as_deref().and_then(|id| by_id.get(join_key(id)).copied());
        if parent == Some(index as u32) {
            warnings.push("parent_self", format!("span {} names itself as its parent", span.id));
        }
        parents.push(parent.filter(|parent| *parent != index as u32));
    }
    // Follow each chain of parents once; meeting a span of the same chain again closes a cycle.
    let mut chain_of = vec![u32::MAX; parents.len()];
    for start in 0..parents.len() as u32 {
        let mut at = Some(start);
        while let Some(index) = at.filter(|index| chain_of[*index as usize] == u32::MAX) {
            chain_of[index as usize] = start;
            at = parents[index as usize];
        }
        if let Some(member) = at.filter(|index| chain_of[*index as usize] == start) {
            break_cycle(spans, member, &mut parents, warnings);
        }
    }
    parents
}

/// Makes the earliest span of the cycle through `member` a root.
fn break_cycle(spans: &[Span<'_>], member: u32, parents: &mut [Option<u32>], warnings: &mut Warnings) {
    let mut cycle = vec![member];
    while let Some(next) = parents[cycle[cycle.len() - 1] as usize].filter(|next| *next != member) {
        cycle.push(next);
    }
    let first = cycle.iter().copied().min_by_key(|index| sort_key(&spans[*index as usize]));
    let Some(first) = first else { return };
    parents[first as usize] = None;
    let (size, id) = (cycle.len(), &spans[first as usize].id);
    warnings.push("parent_cycle", format!("parent cycle through {size} spans broken at {id}"));
}

fn sort_key<'s>(span: &'s Span<'_>) -> (i64, &'s str) {
    (span.start_unix_nanos, &span.id)
}

/// Adds the warnings about one leniently decoded item.
fn note_warnings(warnings: &mut Warnings, notes: &Notes, item: impl FnOnce() -> String) {
    if *notes == Notes::default() {
        return;
    }
    let item = item();
    let Notes { base64_ids, odd_ids, bad_parent, bad_times, bad_values, deep_values, .. } = *notes;
    if base64_ids {
        warnings.push("ids_base64", "ids are base64 and were read as hexadecimal");
    }
    if odd_ids {
        warnings.push("id_not_hex", format!("{item} has an id that is not hexadecimal; it is kept as text"));
    }
    if bad_parent {
        warnings.push("parent_id_invalid", format!("{item} has a parent id of zeros only; read as a root"));
    }
    if bad_times > 0 {
        warnings.push("time_unreadable", format!("{item} has a time that is not a number"));
    }
    if bad_values > 0 {
        let text = format!("{item} has {bad_values} integer attributes that are not integers; left out");
        warnings.push("attribute_unreadable", text);
    }
    if deep_values > 0 {
        let text = format!("{item} has {deep_values} values nested deeper than 64 levels; cut there");
        warnings.push("value_too_deep", text);
    }
}
