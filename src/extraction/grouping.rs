//! Who a trace belongs to: the conversation, the session, the eval case it names.

use super::attrs;
use crate::json::{Map, Value};
use crate::trace::{Span, Trace};

/// What a trace is grouped by.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct GroupKey(pub String);

/// Longest value that identifies something, in characters.
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

/// Whether Python calls the character printable: no control, format or separator character but the space.
fn is_printable(character: char) -> bool {
    use unicode_properties::{GeneralCategoryGroup, UnicodeGeneralCategory};
    if character.is_ascii() {
        return !character.is_ascii_control();
    }
    let group = character.general_category_group();
    !matches!(group, GeneralCategoryGroup::Other | GeneralCategoryGroup::Separator)
}

/// What `identify` finds on the earliest span on which it finds anything.
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

/// The first identity under `key` on one side of the spans of the trace, in order of start.
fn first<'t>(trace: &'t Trace<'t>, key: &str, side: fn(&'t Span<'t>) -> &'t Map<'t>) -> Option<String> {
    first_by_start(trace, |span| side(span).get(key).and_then(identity))
}

fn on_span<'t>(span: &'t Span<'t>) -> &'t Map<'t> {
    &span.attributes
}

fn on_resource<'t>(span: &'t Span<'t>) -> &'t Map<'t> {
    &span.origin.resource
}

/// The conversation that a trace belongs to: session name, conversation id, session id, else the trace itself.
pub fn conversation_key(trace: &Trace<'_>) -> GroupKey {
    let key = first(trace, attrs::SESSION_NAME, on_resource)
        .or_else(|| first(trace, attrs::CONVERSATION_ID, on_span))
        .or_else(|| first(trace, attrs::CONVERSATION_ID, on_resource))
        .or_else(|| first(trace, attrs::SESSION_ID, on_span))
        .or_else(|| first(trace, attrs::SESSION_ID, on_resource));
    GroupKey(key.unwrap_or_else(|| trace.id.to_string()))
}

/// Whether a test harness gave the trace a session name.
pub fn has_session_name(trace: &Trace<'_>) -> bool {
    first(trace, attrs::SESSION_NAME, on_resource).is_some()
}

/// The eval case that a test harness says the traces answer.
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
