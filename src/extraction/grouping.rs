//! The conversation, session, eval case and service that a trace belongs to.

use super::attrs;
use crate::json::{Map, Value};
use crate::trace::{Span, Trace};

/// The key by which traces are grouped.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct GroupKey(pub String);

/// Longest usable value of an identifying attribute, in characters.
const MAX_IDENTITY_CHARS: usize = 256;

/// The value of an identifying attribute: a scalar, trimmed, printable, of bounded length.
fn identity(value: &Value<'_>) -> Option<String> {
    if matches!(value, Value::Bool(_)) {
        return None;
    }
    let text = value.scalar_text()?;
    let trimmed = text.trim();
    let usable = !trimmed.is_empty()
        && trimmed.chars().count() <= MAX_IDENTITY_CHARS
        && trimmed.chars().all(is_printable);
    usable.then(|| trimmed.to_owned())
}

/// Python's `str.isprintable` for one character: no control, format or separator character except the space.
fn is_printable(character: char) -> bool {
    use unicode_properties::{GeneralCategoryGroup, UnicodeGeneralCategory};
    if character.is_ascii() {
        return !character.is_ascii_control();
    }
    let group = character.general_category_group();
    !matches!(group, GeneralCategoryGroup::Other | GeneralCategoryGroup::Separator)
}

/// The value that `identify` finds on the earliest span that has one.
fn first_by_start<'t>(
    trace: &'t Trace<'t>,
    identify: impl Fn(&'t Span<'t>) -> Option<String>,
) -> Option<String> {
    let found = trace.spans.iter().filter_map(|span| {
        let identity = identify(span)?;
        Some(((span.start_unix_nanos, &span.id), identity))
    });
    found.min_by(|a, b| a.0.cmp(&b.0)).map(|(_, identity)| identity)
}

/// The value of `key` on the earliest span that has a usable one, on the span itself or on its resource as `side` says.
fn first<'t>(trace: &'t Trace<'t>, key: &str, side: fn(&'t Span<'t>) -> &'t Map<'t>) -> Option<String> {
    first_by_start(trace, |span| side(span).get(key).and_then(identity))
}

fn on_span<'t>(span: &'t Span<'t>) -> &'t Map<'t> {
    &span.attributes
}

fn on_resource<'t>(span: &'t Span<'t>) -> &'t Map<'t> {
    &span.origin.resource
}

/// The key of a trace's conversation: its session name, conversation id or session id, else the trace id.
pub fn conversation_key(trace: &Trace<'_>) -> GroupKey {
    let key = first(trace, attrs::SESSION_NAME, on_resource)
        .or_else(|| first(trace, attrs::CONVERSATION_ID, on_span))
        .or_else(|| first(trace, attrs::CONVERSATION_ID, on_resource))
        .or_else(|| first(trace, attrs::SESSION_ID, on_span))
        .or_else(|| first(trace, attrs::SESSION_ID, on_resource));
    GroupKey(key.unwrap_or_else(|| trace.id.to_string()))
}

/// Whether a test harness set a session name on the trace.
pub fn has_session_name(trace: &Trace<'_>) -> bool {
    first(trace, attrs::SESSION_NAME, on_resource).is_some()
}

/// Id of the eval case that a test harness set on the traces.
pub fn explicit_case_id(traces: &[&Trace<'_>]) -> Option<String> {
    let of_span = |span: &Span<'_>| {
        let sides = [on_span(span), on_resource(span)];
        sides.iter().find_map(|side| side.get(attrs::EVAL_CASE_ID).and_then(identity))
    };
    traces.iter().find_map(|trace| first_by_start(trace, of_span))
}

pub(super) fn service_name(traces: &[&Trace<'_>]) -> Option<String> {
    traces.iter().find_map(|trace| first(trace, attrs::SERVICE_NAME, on_resource))
}

pub(super) fn conversation_id(traces: &[&Trace<'_>]) -> Option<String> {
    traces.iter().find_map(|trace| first(trace, attrs::CONVERSATION_ID, on_span))
}
