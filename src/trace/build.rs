//! Groups spans by trace, joins log records, and derives the tree.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use rayon::prelude::*;

use super::Document;
use super::decode::{DecodedLog, DecodedSpan, Notes, Rejection};
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
    warnings: Warnings,
}

/// The spans of a trace, by join key.
struct Draft<'a> {
    id: Cow<'a, str>,
    spans: Vec<Span<'a>>,
    by_id: HashMap<Cow<'a, str>, u32>,
    warnings: Warnings,
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
    /// Reports things in a document that are not of the type that belongs there.
    pub(super) fn misplaced(&mut self, document: &str, count: usize) {
        if count > 0 {
            let text = format!("`{document}`: {count} items are not the object or list that belongs there");
            self.warnings.push("items_rejected", text);
        }
    }

    /// Reports attributes of resources that could not be read.
    pub(super) fn unreadable_resources(&mut self, document: &str, count: usize) {
        if count > 0 {
            let text = format!("`{document}`: {count} attributes of resources could not be read; left out");
            self.warnings.push("attribute_unreadable", text);
        }
    }

    /// Adds a span, or counts its rejection; `offset` is where it stands in the document.
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
            self.traces.push(Draft {
                id: decoded.trace_id.clone(),
                spans: Vec::new(),
                by_id: HashMap::new(),
                warnings: Warnings::default(),
            });
            self.traces.len() - 1
        });
        self.traces[index].add(decoded.span, decoded.notes);
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

    /// Joins the log records and derives the trees; also the number of log records that were read.
    pub(super) fn finish(mut self) -> (Vec<Trace<'a>>, Vec<Warning>, usize) {
        let log_records = self.logs.len();
        let mut logs: Vec<Vec<(Option<u32>, LogRecord<'a>)>> = Vec::new();
        logs.resize_with(self.traces.len(), Vec::new);
        let mut unattributed = 0;
        for PendingLog { trace_id, span_id, log } in self.logs {
            let trace = trace_id.and_then(|id| self.by_id.get(join_key(&id)).copied());
            match trace {
                Some(trace) => {
                    let span = span_id.and_then(|id| self.traces[trace].by_id.get(join_key(&id)).copied());
                    logs[trace].push((span, log));
                }
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
        let drafts: Vec<_> = self.traces.into_iter().zip(logs).collect();
        let traces = match drafts.len() {
            0..PARALLEL_TRACES => drafts.into_iter().map(|(draft, logs)| draft.finish(logs)).collect(),
            _ => drafts.into_par_iter().map(|(draft, logs)| draft.finish(logs)).collect(),
        };
        (traces, self.warnings.to_vec(), log_records)
    }
}

/// The join key of an id as a key of its own, borrowed if the id is.
fn shared_join_key<'a>(id: &Cow<'a, str>) -> Cow<'a, str> {
    match id {
        Cow::Borrowed(id) => Cow::Borrowed(join_key(id)),
        Cow::Owned(id) => Cow::Owned(join_key(id).to_owned()),
    }
}

impl<'a> Draft<'a> {
    fn add(&mut self, span: Span<'a>, notes: Notes) {
        let index = self.spans.len() as u32;
        match self.by_id.entry(shared_join_key(&span.id)) {
            std::collections::hash_map::Entry::Occupied(_) => {
                self.warnings.push("span_duplicate", format!("duplicate span {} ignored", span.id));
            }
            std::collections::hash_map::Entry::Vacant(place) => {
                note_warnings(&mut self.warnings, &notes, || format!("span {}", span.id));
                place.insert(index);
                self.spans.push(span);
            }
        }
    }

    fn finish(mut self, joined: Vec<(Option<u32>, LogRecord<'a>)>) -> Trace<'a> {
        let parents = self.parents();
        let mut children = vec![Vec::new(); self.spans.len()];
        let mut roots = Vec::new();
        let mut order: Vec<u32> = (0..self.spans.len() as u32).collect();
        order.sort_by(|a, b| sort_key(&self.spans[*a as usize]).cmp(&sort_key(&self.spans[*b as usize])));
        for index in order {
            match parents[index as usize] {
                Some(parent) => children[parent as usize].push(index),
                None => roots.push(index),
            }
        }
        let mut logs = Vec::new();
        logs.resize_with(self.spans.len(), Vec::new);
        let mut orphan_logs = Vec::new();
        for (span, log) in joined {
            match span {
                Some(span) => logs[span as usize].push(log),
                None => orphan_logs.push(log),
            }
        }
        let Self { id, spans, warnings, .. } = self;
        Trace { id, spans, children, roots, logs, orphan_logs, warnings }
    }

    /// The effective parent of each span: known, not itself, and free of cycles.
    fn parents(&mut self) -> Vec<Option<u32>> {
        let mut parents: Vec<Option<u32>> = Vec::with_capacity(self.spans.len());
        for (index, span) in self.spans.iter().enumerate() {
            let parent = span.parent_id.as_deref().and_then(|id| self.by_id.get(join_key(id)).copied());
            if parent == Some(index as u32) {
                self.warnings.push("parent_self", format!("span {} names itself as its parent", span.id));
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
                self.break_cycle(member, &mut parents);
            }
        }
        parents
    }

    fn break_cycle(&mut self, member: u32, parents: &mut [Option<u32>]) {
        let mut cycle = vec![member];
        while let Some(next) = parents[cycle[cycle.len() - 1] as usize].filter(|next| *next != member) {
            cycle.push(next);
        }
        let spans = &self.spans;
        let first = cycle.iter().copied().min_by_key(|index| sort_key(&spans[*index as usize]));
        let Some(first) = first else { return };
        parents[first as usize] = None;
        let (size, id) = (cycle.len(), &self.spans[first as usize].id);
        self.warnings.push("parent_cycle", format!("parent cycle through {size} spans broken at {id}"));
    }
}

fn sort_key<'s>(span: &'s Span<'_>) -> (i64, &'s str) {
    (span.start_unix_nanos, &span.id)
}

/// Adds the warnings that leniency about one item calls for.
fn note_warnings(warnings: &mut Warnings, notes: &Notes, item: impl FnOnce() -> String) {
    if *notes == Notes::default() {
        return;
    }
    let item = item();
    let Notes { base64_ids, odd_ids, bad_parent, bad_times, bad_values, deep_values } = *notes;
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
