//! Reads messages in the shapes of OpenTelemetry, OpenAI and Google into one.

use std::borrow::Cow;

use crate::json::{self, Value};

/// Longest string attribute that is parsed as JSON, in bytes; the reference's limit.
const MAX_JSON_BYTES: usize = 4 * 1024 * 1024;

/// A message of a model call.
#[derive(Debug, Clone)]
pub(super) struct ChatMessage<'t> {
    pub(super) role: Cow<'t, str>,
    pub(super) parts: Vec<MessagePart<'t>>,
    /// Why the model stopped, if the message has it.
    pub(super) finish_reason: Option<Cow<'t, str>>,
}

/// A part of a message. `Other` stands for content that no metric reads, such as images.
#[derive(Debug, Clone)]
pub(super) enum MessagePart<'t> {
    Text(Value<'t>),
    ToolCall { id: Option<Cow<'t, str>>, name: Option<Cow<'t, str>>, arguments: Value<'t> },
    ToolResponse { id: Option<Cow<'t, str>>, name: Option<Cow<'t, str>>, response: Value<'t> },
    Other,
}

/// Whether a text stands for content that was not captured.
pub(super) fn is_placeholder(text: &str) -> bool {
    matches!(text.trim(), "" | "<REDACTED>" | "<elided>")
}

/// Whether a tool attribute holds ADK's placeholder for an absent value.
pub(super) fn is_unspecified(value: &Value<'_>) -> bool {
    match value {
        Value::Str(text) => text == "<not specified>",
        Value::Map(map) => map.len() == 1 && map.get("result").is_some_and(is_unspecified),
        _ => false,
    }
}

/// An attribute as JSON: strings are parsed, other values stay. `None` for null, and for strings that are too long or
/// no JSON.
pub(super) fn as_json<'t>(value: &'t Value<'_>) -> Option<Value<'t>> {
    match value {
        Value::Str(text) if text.len() > MAX_JSON_BYTES => None,
        Value::Str(text) => parse(text),
        Value::Null => None,
        other => Some(other.borrowed()),
    }
}

/// Why a value that should be messages cannot be read; `None` when it can, or is nobody's content.
pub(super) fn unreadable(value: &Value<'_>) -> Option<String> {
    let text = value.as_str()?;
    if is_placeholder(text) {
        return None;
    }
    if text.len() > MAX_JSON_BYTES {
        return Some(format!("has {} bytes, more than the {MAX_JSON_BYTES} that are read", text.len()));
    }
    match json::parse(text) {
        Err(error) if parse(text).is_none() => {
            let is_cut = error.offset >= text.len() && text.trim_start().starts_with(['[', '{']);
            let why = if is_cut { format!(", cut at byte {}?", text.len()) } else { String::new() };
            Some(format!("is no JSON ({error}{why})"))
        }
        _ => None,
    }
}

/// Parses JSON, even if a cut left half of an escaped surrogate pair.
fn parse(text: &str) -> Option<Value<'_>> {
    if let Ok(value) = json::parse(text) {
        return Some(value);
    }
    if !text.contains("\\u") {
        return None;
    }
    let mut bytes = text.as_bytes().to_vec();
    json::repair_lone_surrogates(&mut bytes);
    let repaired = String::from_utf8(bytes).ok()?;
    json::parse(&repaired).ok().map(Value::into_owned)
}

/// A string that is JSON text as its value; anything else unchanged.
pub(super) fn parsed_or_kept<'t>(value: Value<'t>) -> Value<'t> {
    match value {
        Value::Str(Cow::Borrowed(text)) => parse(text).unwrap_or(Value::Str(Cow::Borrowed(text))),
        Value::Str(Cow::Owned(text)) => match parse(&text) {
            Some(parsed) => parsed.into_owned(),
            None => Value::Str(Cow::Owned(text)),
        },
        other => other,
    }
}

impl<'t> ChatMessage<'t> {
    pub(super) fn new(role: impl Into<Cow<'t, str>>, parts: Vec<MessagePart<'t>>) -> Self {
        Self { role: role.into(), parts, finish_reason: None }
    }

    /// The texts of all parts, joined without separator; `None` when there is none.
    pub(super) fn text(&self) -> Option<String> {
        text_of(std::slice::from_ref(self))
    }

    /// Whether the message carries more than placeholders.
    pub(super) fn has_content(&self) -> bool {
        self.parts.iter().any(|part| match part {
            MessagePart::Text(text) => real_text(text).is_some(),
            MessagePart::ToolCall { .. } | MessagePart::ToolResponse { .. } | MessagePart::Other => true,
        })
    }

    fn is_tool_response(&self) -> bool {
        let all_responses = self.parts.iter().all(|part| matches!(part, MessagePart::ToolResponse { .. }));
        self.role == "tool" || (!self.parts.is_empty() && all_responses)
    }
}

/// The text of a text part; content that is not a string is shown as JSON.
fn real_text<'v>(content: &'v Value<'_>) -> Option<Cow<'v, str>> {
    match content {
        Value::Null => None,
        Value::Str(text) => (!is_placeholder(text)).then_some(Cow::Borrowed(&**text)),
        other => Some(Cow::Owned(other.to_json_text())),
    }
}

/// The texts of all messages, joined without separator; `None` when there is none.
pub(super) fn text_of(messages: &[ChatMessage<'_>]) -> Option<String> {
    let parts = messages.iter().flat_map(|message| &message.parts);
    let mut all = String::new();
    for part in parts {
        if let MessagePart::Text(content) = part {
            all.push_str(&real_text(content).unwrap_or_default());
        }
    }
    (!all.is_empty()).then_some(all)
}

/// Whether the last message returns a tool's result to the model.
pub(super) fn ends_with_tool_response(messages: &[ChatMessage<'_>]) -> bool {
    messages.last().is_some_and(ChatMessage::is_tool_response)
}

/// The user's last turn: the unbroken run of user messages with text nearest to the end.
pub(super) fn user_turn<'m, 't>(messages: &'m [ChatMessage<'t>]) -> &'m [ChatMessage<'t>] {
    let is_user = |message: &ChatMessage<'_>| message.role == "user" && message.text().is_some();
    let Some(last) = messages.iter().rposition(is_user) else {
        return &[];
    };
    let before = messages[..last].iter().rposition(|message| !is_user(message));
    &messages[before.map_or(0, |index| index + 1)..=last]
}

/// Reads a list of messages; `None` unless at least one has content.
pub(super) fn read_list(value: Value<'_>) -> Option<Vec<ChatMessage<'_>>> {
    let items = match value {
        Value::List(items) => items,
        map @ Value::Map(_) => vec![map],
        _ => return None,
    };
    let messages: Vec<_> = items.into_iter().filter_map(read_message).collect();
    messages.iter().any(ChatMessage::has_content).then_some(messages)
}

fn read_message(value: Value<'_>) -> Option<ChatMessage<'_>> {
    let Value::Map(map) = value else { return None };
    let role = match map.get("role") {
        Some(Value::Str(role)) if !role.is_empty() => role.clone(),
        _ => Cow::Borrowed("user"),
    };
    let finish_reason = map.get("finish_reason").and_then(Value::scalar_text);
    let parts = match (map.get("parts"), map.get("content")) {
        (Some(Value::List(parts)), _) => parts.iter().filter_map(read_part).collect(),
        (_, Some(content)) => read_content(content),
        _ => Vec::new(),
    };
    Some(ChatMessage { role, parts, finish_reason })
}

/// Reads a part of the current convention, which has a `type`.
fn read_part<'t>(value: &Value<'t>) -> Option<MessagePart<'t>> {
    let kind = value.get("type")?.as_str()?;
    let member = |name: &str| value.get(name).cloned().unwrap_or_default();
    let text = |name: &str| value.get(name).and_then(Value::scalar_text).filter(|text| !text.is_empty());
    Some(match kind {
        "text" => MessagePart::Text(member("content")),
        "tool_call" => {
            let name = value.get("name").filter(|name| name.as_str().is_some());
            let name = name.and_then(Value::scalar_text).filter(|name| !name.is_empty());
            MessagePart::ToolCall { id: text("id"), name, arguments: member("arguments") }
        }
        "tool_call_response" => {
            MessagePart::ToolResponse { id: text("id"), name: text("name"), response: member("response") }
        }
        _ => MessagePart::Other,
    })
}

/// Reads OpenAI's `content`: a string, a list of parts, or any other value, which is shown as JSON.
pub(super) fn read_content<'t>(content: &Value<'t>) -> Vec<MessagePart<'t>> {
    match content {
        Value::Null => Vec::new(),
        Value::Str(text) if is_placeholder(text) => Vec::new(),
        Value::Str(_) => vec![MessagePart::Text(content.clone())],
        Value::Map(map) => match map.get("parts") {
            Some(Value::List(parts)) => parts.iter().filter_map(read_google_part).collect(),
            _ => vec![MessagePart::Text(Value::text(content.to_json_text()))],
        },
        Value::List(items) => items.iter().filter_map(read_content_item).collect(),
        other => vec![MessagePart::Text(Value::text(other.to_json_text()))],
    }
}

pub(super) fn read_content_item<'t>(item: &Value<'t>) -> Option<MessagePart<'t>> {
    match item {
        Value::Str(_) => Some(MessagePart::Text(item.clone())),
        Value::Map(map) => {
            let kind = map.get("type").and_then(Value::as_str);
            match (kind, map.get("content"), map.get("text")) {
                (Some("text"), Some(content), _) => Some(MessagePart::Text(content.clone())),
                (Some("text"), None, text) => Some(MessagePart::Text(text.cloned().unwrap_or_default())),
                (_, _, Some(text)) => Some(MessagePart::Text(text.clone())),
                (Some(_), ..) => read_part(item),
                (None, ..) => None,
            }
        }
        _ => None,
    }
}

/// Reads OpenAI's `tool_calls`.
pub(super) fn read_tool_calls<'t>(calls: &Value<'t>) -> Vec<MessagePart<'t>> {
    let read = |entry: &Value<'t>| {
        let function = entry.get("function").filter(|function| function.as_map().is_some()).unwrap_or(entry);
        let Value::Str(name) = function.get("name")? else {
            return None;
        };
        let arguments = function.get("arguments").cloned().unwrap_or_default();
        let id = entry.get("id").and_then(Value::scalar_text).filter(|id| !id.is_empty());
        Some(MessagePart::ToolCall { id, name: Some(name.clone()), arguments: parsed_or_kept(arguments) })
    };
    calls.as_list().unwrap_or_default().iter().filter_map(read).collect()
}

/// Reads Google's `{role, parts}`; `default_role` stands in for a missing role.
pub(super) fn read_google<'t>(content: &Value<'t>, default_role: &'static str) -> Option<ChatMessage<'t>> {
    let parts = content.get("parts").and_then(Value::as_list).unwrap_or_default();
    let parts: Vec<_> = parts.iter().filter_map(read_google_part).collect();
    let role = match content.get("role") {
        Some(Value::Str(role)) if role == "model" => Cow::Borrowed("assistant"),
        Some(Value::Str(role)) if !role.is_empty() => role.clone(),
        _ => Cow::Borrowed(default_role),
    };
    let mut message = ChatMessage::new(role, parts);
    if message.is_tool_response() {
        message.role = Cow::Borrowed("tool");
    }
    content.as_map().map(|_| message)
}

fn read_google_part<'t>(part: &Value<'t>) -> Option<MessagePart<'t>> {
    let map = part.as_map()?;
    let present = |name: &str| map.get(name).filter(|value| !value.is_null());
    let text = |value: &Value<'t>, name: &str| {
        value.get(name).and_then(Value::scalar_text).filter(|text| !text.is_empty())
    };
    if let Some(content) = present("text") {
        let is_thought = map.get("thought").is_some_and(Value::is_truthy);
        return Some(if is_thought { MessagePart::Other } else { MessagePart::Text(content.clone()) });
    }
    if let Some(call) = present("function_call") {
        let arguments = call.get("args").cloned().unwrap_or_default();
        return Some(MessagePart::ToolCall { id: text(call, "id"), name: text(call, "name"), arguments });
    }
    if let Some(answer) = present("function_response") {
        let response = answer.get("response").cloned().unwrap_or_default();
        return Some(MessagePart::ToolResponse {
            id: text(answer, "id"),
            name: text(answer, "name"),
            response,
        });
    }
    map.iter().any(|(_, value)| !value.is_null()).then_some(MessagePart::Other)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Vec<ChatMessage<'_>> {
        read_list(json::parse(json).unwrap()).unwrap_or_default()
    }

    #[test]
    fn texts_join_without_separator_and_placeholders_are_nothing() {
        let messages = read(
            r#"[{"role":"user","parts":[{"type":"text","content":"a"},{"type":"text","content":"<elided>"},
                {"type":"text","content":{"b":1,"a":2}}]}]"#,
        );
        assert_eq!(text_of(&messages).as_deref(), Some(r#"a{"a": 2, "b": 1}"#));
        assert!(read_list(json::parse(r#"[{"role":"user","content":"<REDACTED>"}]"#).unwrap()).is_none());
    }

    #[test]
    fn the_user_turn_is_the_last_run_of_user_messages() {
        let messages = read(
            r#"[{"role":"user","content":"old"},{"role":"assistant","content":"x"},{"role":"user","content":"a"},
                {"role":"user","content":"b"},{"role":"tool","parts":[{"type":"tool_call_response","id":"1"}]}]"#,
        );
        assert_eq!(text_of(user_turn(&messages)).as_deref(), Some("ab"));
    }
}
