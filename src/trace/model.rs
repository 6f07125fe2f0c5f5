//! Traces, spans and log records, the same for every format.
//!
//! Members of OTLP that no later stage reads (kind, links, trace state, dropped counts) are not kept.

use std::borrow::Cow;
use std::sync::Arc;

use serde::Serialize;

use crate::json::{Map, Value};

/// A defect of the input that was mended or worked around.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Warning {
    /// Stable name of the kind, for programs.
    pub code: &'static str,
    /// A description, for people.
    pub text: String,
}

/// Collects warnings; of each code at most [`Warnings::LISTED`] are kept, the others are counted.
#[derive(Debug, Clone, Default)]
pub struct Warnings {
    listed: Vec<Warning>,
    beyond: Vec<(&'static str, usize)>,
}

impl Warnings {
    /// Warnings of one code that are listed; further ones are only counted.
    pub const LISTED: usize = 20;

    /// Adds a warning.
    pub fn push(&mut self, code: &'static str, text: impl Into<String>) {
        let warning = Warning { code, text: text.into() };
        if self.listed.iter().filter(|listed| listed.code == code).count() < Self::LISTED {
            if !self.listed.contains(&warning) {
                self.listed.push(warning);
            }
            return;
        }
        match self.beyond.iter_mut().find(|(counted, _)| *counted == code) {
            Some((_, count)) => *count += 1,
            None => self.beyond.push((code, 1)),
        }
    }

    /// Adds all warnings of `other`.
    pub fn extend(&mut self, other: &Warnings) {
        for warning in &other.listed {
            self.push(warning.code, warning.text.clone());
        }
        for (code, count) in &other.beyond {
            match self.beyond.iter_mut().find(|(counted, _)| counted == code) {
                Some((_, total)) => *total += count,
                None => self.beyond.push((code, *count)),
            }
        }
    }

    /// The warnings in order of arrival, followed by a line for each code of which more were counted.
    pub fn to_vec(&self) -> Vec<Warning> {
        let mut all = self.listed.clone();
        let more = self.beyond.iter();
        all.extend(
            more.map(|(code, count)| Warning { code, text: format!("{count} more of this kind ({code})") }),
        );
        all
    }
}

/// The resource and the instrumentation scope of spans; spans of one scope share it.
#[derive(Debug, Default)]
pub struct Origin<'a> {
    /// Attributes of the resource.
    pub resource: Arc<Map<'a>>,
    /// Name of the instrumentation scope; empty when there is none.
    pub scope: Cow<'a, str>,
}

/// The status of a span.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SpanStatus {
    /// No status was set.
    #[default]
    Unset,
    /// Explicitly successful.
    Ok,
    /// Explicitly failed.
    Error,
}

/// A named event on a span.
#[derive(Debug)]
pub struct SpanEvent<'a> {
    /// Name of the event.
    pub name: Cow<'a, str>,
    /// Attributes of the event.
    pub attributes: Map<'a>,
}

/// One span. It does not repeat the trace id, which the [`Trace`] that holds it has.
#[derive(Debug)]
pub struct Span<'a> {
    /// Id, unique in its trace.
    pub id: Cow<'a, str>,
    /// Id of the parent as written; that span may be missing.
    pub parent_id: Option<Cow<'a, str>>,
    /// Name.
    pub name: Cow<'a, str>,
    /// Start, nanoseconds since the Unix epoch.
    pub start_unix_nanos: i64,
    /// End, nanoseconds since the Unix epoch.
    pub end_unix_nanos: i64,
    /// Status.
    pub status: SpanStatus,
    /// Attributes in the order written.
    pub attributes: Map<'a>,
    /// Events in the order written.
    pub events: Vec<SpanEvent<'a>>,
    /// Resource and scope.
    pub origin: Arc<Origin<'a>>,
}

impl Span<'_> {
    /// End minus start, never negative.
    pub fn duration_nanos(&self) -> i64 {
        self.end_unix_nanos.saturating_sub(self.start_unix_nanos).max(0)
    }
}

/// One log record.
#[derive(Debug)]
pub struct LogRecord<'a> {
    /// Event name, from the record or from its attributes.
    pub event_name: Option<Cow<'a, str>>,
    /// When it happened, else when it was observed, else 0; nanoseconds since the Unix epoch.
    pub time_unix_nanos: i64,
    /// Body.
    pub body: Value<'a>,
    /// Attributes.
    pub attributes: Map<'a>,
    /// Whether the record names a span at all.
    pub has_span_id: bool,
}

/// The spans of one trace as a tree, with the log records that belong to it.
///
/// Spans are addressed by their index in `spans`, the order in which they were read. A span whose parent is missing is
/// a root, and a cycle of parents is broken at its earliest span. Children and roots are sorted by (start, id).
#[derive(Debug)]
pub struct Trace<'a> {
    /// Trace id as first seen.
    pub id: Cow<'a, str>,
    /// Name of the document in which it was first seen.
    pub document: String,
    /// The spans.
    pub spans: Vec<Span<'a>>,
    /// Children of each span.
    pub children: Vec<Vec<u32>>,
    /// The roots.
    pub roots: Vec<u32>,
    /// Log records of each span.
    pub logs: Vec<Vec<LogRecord<'a>>>,
    /// Log records of the trace that name no span of it.
    pub orphan_logs: Vec<LogRecord<'a>>,
    /// Defects found while reading.
    pub warnings: Warnings,
}

impl<'a> Trace<'a> {
    /// Earliest start of any span; 0 for a trace without spans.
    pub fn start_unix_nanos(&self) -> i64 {
        self.spans.iter().map(|span| span.start_unix_nanos).min().unwrap_or_default()
    }
}
