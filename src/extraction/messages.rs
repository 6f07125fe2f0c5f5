//! Messages in their many spellings, read into one shape.

use std::borrow::Cow;

use crate::json::{self, Map, Value};

/// Longest string attribute that is parsed as JSON, in bytes: what the reference accepts.
const MAX_JSON_BYTES: usize = 4 * 1024 * 1024;

/// A message of a model call.
#[derive(Debug, Clone)]
pub(super) struct Message<'t> {
    pub(super) role: Cow<'t, str>,
    pub(super) parts: Vec<Part<'t>>,
    /// Why the model stopped, when the message says so.
    pub(super) finish_reason: Option<Cow<'t, str>>,
}

/// A part of a message; parts that nothing reads keep only that they are content.
#[derive(Debug, Clone)]
pub(super) enum Part<'t> {
    Text(Value<'t>),
    ToolCall { id: Option<Cow<'t, str>>, name: Option<Cow<'t, str>>, arguments: Value<'t> },
    ToolResponse { id: Option<Cow<'t, str>>, name: Option<Cow<'t, str>>, response: Value<'t> },
    Other,
}

/// Whether a text stands for content that was not captured.
pub(super) fn is_placeholder(text: &str) -> bool {
    matches!(text.trim(), "" | "<REDACTED>" | "<elided>")
}

/// Whether a tool attribute says that nothing was specified.
pub(super) fn is_unspecified(value: &Value<'_>) -> bool {
    match value {
        Value::Str(text) => text == "<not specified>",
        Value::Map(map) => map.len() == 1 && map.get("result").is_some_and(is_unspecified),
        _ => false,
    }
}

/// An attribute as JSON: maps, lists and numbers pass, strings are parsed; absent on any failure.
pub(super) fn as_json<'t>(value: &'t Value<'_>) -> Option<Value<'t>> {
    match value {
        Value::Str(text) if text.len() > MAX_JSON_BYTES => None,
        Value::Str(text) => json::parse(text).ok().or_else(|| parse_repaired(text)),
        Value::Null => None,
        other => Some(other.borrowed()),
    }
}

/// Parses JSON in which half of an escaped surrogate pair was cut off.
fn parse_repaired(text: &str) -> Option<Value<'static>> {
    if !text.contains("\\u") {
        return None;
    }
    let mut bytes = text.as_bytes().to_vec();
    json::repair_lone_surrogates(&mut bytes);
    let repaired = String::from_utf8(bytes).ok()?;
    json::parse(&repaired).ok().map(Value::into_owned)
}

/// A string parsed as JSON when it parses, else the value as it is.
pub(super) fn parsed_or_kept<'t>(value: Value<'t>) -> Value<'t> {
    match value {
        Value::Str(Cow::Borrowed(text)) => json::parse(text).unwrap_or(Value::Str(Cow::Borrowed(text))),
        Value::Str(Cow::Owned(text)) => match json::parse(&text) {
            Ok(parsed) => parsed.into_owned(),
            Err(_) => Value::Str(Cow::Owned(text)),
        },
        other => other,
    }
}

impl<'t> Message<'t> {
    fn new(role: impl Into<Cow<'t, str>>, parts: Vec<Part<'t>>) -> Self {
        Self { role: role.into(), parts, finish_reason: None }
    }

    /// All texts in order without separator; `None` when there is none.
    pub(super) fn text(&self) -> Option<String> {
        text_of(std::slice::from_ref(self))
    }

    /// Whether the message carries more than placeholders.
    pub(super) fn has_content(&self) -> bool {
        self.parts.iter().any(|part| match part {
            Part::Text(text) => real_text(text).is_some(),
            Part::ToolCall { .. } | Part::ToolResponse { .. } | Part::Other => true,
        })
    }

    fn is_tool_response(&self) -> bool {
        let all_responses = self.parts.iter().all(|part| matches!(part, Part::ToolResponse { .. }));
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

/// All texts of the messages in order without separator; `None` when there is none.
pub(super) fn text_of(messages: &[Message<'_>]) -> Option<String> {
    let parts = messages.iter().flat_map(|message| &message.parts);
    let mut all = String::new();
    for part in parts {
        if let Part::Text(content) = part {
            all.push_str(&real_text(content).unwrap_or_default());
        }
    }
    (!all.is_empty()).then_some(all)
}

/// Whether the last message returns a tool's result to the model.
pub(super) fn ends_with_tool_response(messages: &[Message<'_>]) -> bool {
    messages.last().is_some_and(Message::is_tool_response)
}

/// What the user said last: the unbroken run of user messages with text nearest to the end.
pub(super) fn user_turn<'m, 't>(messages: &'m [Message<'t>]) -> &'m [Message<'t>] {
    let is_user = |message: &Message<'_>| message.role == "user" && message.text().is_some();
    let Some(last) = messages.iter().rposition(is_user) else {
        return &[];
    };
    let before = messages[..last].iter().rposition(|message| !is_user(message));
    &messages[before.map_or(0, |index| index + 1)..=last]
}

/// Reads a list of messages; `None` unless at least one has content.
pub(super) fn read_list(value: Value<'_>) -> Option<Vec<Message<'_>>> {
    let items = match value {
        Value::List(items) => items,
        map @ Value::Map(_) => vec![map],
        _ => return None,
    };
    let messages: Vec<_> = items.into_iter().filter_map(read_message).collect();
    messages.iter().any(Message::has_content).then_some(messages)
}

fn read_message(value: Value<'_>) -> Option<Message<'_>> {
    let Value::Map(map) = value else { return None };
    let role = match map.get("role") {
        Some(Value::Str(role)) if !role.is_empty() => role.clone(),
        _ => Cow::Borrowed("user"),
    };
    let finish_reason = map.get("finish_reason").and_then(Value::scalar_text);
    let parts = match (map.get("parts"), map.get("content")) {
        (Some(Value::List(parts)), _) => parts.iter().filter_map(read_part).collect(),
        (_, Some(content)) => {
            let mut parts = read_content(content);
            parts.extend(map.get("tool_calls").map(read_tool_calls).unwrap_or_default());
            parts
        }
        _ => map.get("tool_calls").map(read_tool_calls).unwrap_or_default(),
    };
    Some(Message { role, parts, finish_reason })
}

/// Reads a part with a `type`.
fn read_part<'t>(value: &Value<'t>) -> Option<Part<'t>> {
    let kind = value.get("type")?.as_str()?;
    let member = |name: &str| value.get(name).cloned().unwrap_or_default();
    let text = |name: &str| value.get(name).and_then(Value::scalar_text).filter(|text| !text.is_empty());
    Some(match kind {
        "text" => Part::Text(value.get("content").or_else(|| value.get("text")).cloned().unwrap_or_default()),
        "tool_call" => {
            let name = value.get("name").filter(|name| name.as_str().is_some());
            let name = name.and_then(Value::scalar_text).filter(|name| !name.is_empty());
            Part::ToolCall { id: text("id"), name, arguments: member("arguments") }
        }
        "tool_call_response" => {
            // `result` was the member's name in an early draft of the convention.
            let response = value.get("response").or_else(|| value.get("result")).cloned().unwrap_or_default();
            Part::ToolResponse { id: text("id"), name: text("name"), response }
        }
        _ => Part::Other,
    })
}

/// Reads OpenAI's `content`: a string, a list of parts, or anything else.
pub(super) fn read_content<'t>(content: &Value<'t>) -> Vec<Part<'t>> {
    match content {
        Value::Null => Vec::new(),
        Value::Str(text) if is_placeholder(text) => Vec::new(),
        Value::Str(_) => vec![Part::Text(content.clone())],
        Value::Map(map) => match map.get("parts") {
            Some(Value::List(parts)) => parts.iter().filter_map(read_google_part).collect(),
            _ => vec![Part::Text(Value::text(content.to_json_text()))],
        },
        Value::List(items) => items.iter().filter_map(read_content_item).collect(),
        other => vec![Part::Text(Value::text(other.to_json_text()))],
    }
}

fn read_content_item<'t>(item: &Value<'t>) -> Option<Part<'t>> {
    match item {
        Value::Str(_) => Some(Part::Text(item.clone())),
        Value::Map(map) => {
            let kind = map.get("type").and_then(Value::as_str);
            match (kind, map.get("content"), map.get("text")) {
                (Some("text"), Some(content), _) => Some(Part::Text(content.clone())),
                (Some("text"), None, text) => Some(Part::Text(text.cloned().unwrap_or_default())),
                (_, _, Some(text)) => Some(Part::Text(text.clone())),
                (Some(_), ..) => read_part(item),
                (None, ..) => None,
            }
        }
        _ => None,
    }
}

/// Reads OpenAI's `tool_calls`.
pub(super) fn read_tool_calls<'t>(calls: &Value<'t>) -> Vec<Part<'t>> {
    let read = |entry: &Value<'t>| {
        let function = entry.get("function").filter(|function| function.as_map().is_some()).unwrap_or(entry);
        let Value::Str(name) = function.get("name")? else {
            return None;
        };
        let arguments = function.get("arguments").cloned().unwrap_or_default();
        let id = entry.get("id").and_then(Value::scalar_text).filter(|id| !id.is_empty());
        Some(Part::ToolCall { id, name: Some(name.clone()), arguments: parsed_or_kept(arguments) })
    };
    calls.as_list().unwrap_or_default().iter().filter_map(read).collect()
}

/// Reads Google's `{role, parts}`; a missing role becomes `default_role`.
pub(super) fn read_google<'t>(content: &Value<'t>, default_role: &'static str) -> Option<Message<'t>> {
    let parts = content.get("parts").and_then(Value::as_list).unwrap_or_default();
    let parts: Vec<_> = parts.iter().filter_map(read_google_part).collect();
    let role = match content.get("role") {
        Some(Value::Str(role)) if role == "model" => Cow::Borrowed("assistant"),
        Some(Value::Str(role)) if !role.is_empty() => role.clone(),
        _ => Cow::Borrowed(default_role),
    };
    let mut message = Message::new(role, parts);
    if message.is_tool_response() {
        message.role = Cow::Borrowed("tool");
    }
    content.as_map().map(|_| message)
}

fn read_google_part<'t>(part: &Value<'t>) -> Option<Part<'t>> {
    let map = part.as_map()?;
    let present = |name: &str| map.get(name).filter(|value| !value.is_null());
    let text = |value: &Value<'t>, name: &str| {
        value.get(name).and_then(Value::scalar_text).filter(|text| !text.is_empty())
    };
    if let Some(content) = present("text") {
        let is_thought = map.get("thought").is_some_and(Value::is_truthy);
        return Some(if is_thought { Part::Other } else { Part::Text(content.clone()) });
    }
    if let Some(call) = present("function_call").or_else(|| present("functionCall")) {
        let arguments = call.get("args").cloned().unwrap_or_default();
        return Some(Part::ToolCall { id: text(call, "id"), name: text(call, "name"), arguments });
    }
    if let Some(answer) = present("function_response").or_else(|| present("functionResponse")) {
        let response = answer.get("response").cloned().unwrap_or_default();
        return Some(Part::ToolResponse { id: text(answer, "id"), name: text(answer, "name"), response });
    }
    map.iter().any(|(_, value)| !value.is_null()).then_some(Part::Other)
}

/// The fields of a deprecated message event; strings that hold JSON where structure belongs are parsed.
pub(super) struct EventFields<'t>(Map<'t>);

impl<'t> EventFields<'t> {
    /// Fields from the attributes of a span event.
    pub(super) fn from_attributes(attributes: &'t Map<'_>) -> Self {
        let entries = attributes.iter().map(|(key, value)| (Cow::Borrowed(&**key), value.borrowed()));
        Self(Map::from_entries(entries.collect()))
    }

    /// Fields from the body of a log record; a body that is no map is the content.
    pub(super) fn from_body(body: &'t Value<'_>) -> Self {
        match body {
            Value::Map(map) => Self::from_attributes(map),
            Value::Str(text) => match json::parse(text) {
                Ok(Value::Map(map)) => Self(map),
                _ => Self(Map::from_entries(vec![("content".into(), body.borrowed())])),
            },
            _ => Self(Map::default()),
        }
    }

    fn structured(&self, name: &str) -> Option<Value<'t>> {
        let value = self.0.get(name)?.clone();
        Some(match parsed_or_kept(value.clone()) {
            map @ Value::Map(_) => map,
            Value::List(items) if items.iter().all(|item| item.as_map().is_some()) => Value::List(items),
            _ => value,
        })
    }

    fn content_parts(&self) -> Vec<Part<'t>> {
        let Some(content) = self.structured("content") else {
            return Vec::new();
        };
        match (&content, self.0.get("content")) {
            // A string that merely looks like JSON is still what was said.
            (Value::Map(map), Some(Value::Str(_))) if map.get("parts").is_none() => {
                self.0.get("content").map(read_content).unwrap_or_default()
            }
            (Value::List(items), Some(written @ Value::Str(_))) => {
                let parts: Vec<_> = items.iter().filter_map(read_content_item).collect();
                if parts.is_empty() { read_content(written) } else { parts }
            }
            _ => read_content(&content),
        }
    }

    fn tool_calls(&self) -> Vec<Part<'t>> {
        self.structured("tool_calls").as_ref().map(read_tool_calls).unwrap_or_default()
    }

    /// An input message of role `role`.
    pub(super) fn input(&self, role: &'static str) -> Option<Message<'t>> {
        let parts = match role {
            "tool" => {
                let text = |name: &str| self.0.get(name).and_then(Value::scalar_text);
                let response = parsed_or_kept(self.0.get("content").cloned().unwrap_or_default());
                vec![Part::ToolResponse { id: text("id").filter(|id| !id.is_empty()), name: None, response }]
            }
            "assistant" => {
                let mut parts = self.content_parts();
                parts.extend(self.tool_calls());
                parts
            }
            _ => self.content_parts(),
        };
        (!parts.is_empty()).then(|| Message::new(role, parts))
    }

    /// The output message of a choice.
    pub(super) fn choice(&self) -> Option<Message<'t>> {
        let message = self.structured("message").filter(|message| message.as_map().is_some());
        let mut parts = match &message {
            Some(Value::Map(message)) => {
                let inner = Self(message.clone());
                let mut parts = inner.content_parts();
                parts.extend(inner.tool_calls());
                parts
            }
            _ => {
                let content = self.content_parts();
                match (content.is_empty(), self.0.get("message")) {
                    (true, Some(text @ Value::Str(_))) => read_content(text),
                    _ => content,
                }
            }
        };
        if message.is_none() {
            parts.extend(self.tool_calls());
        }
        let finish_reason =
            self.0.get("finish_reason").and_then(Value::as_str).map(|reason| reason.to_lowercase().into());
        (!parts.is_empty()).then(|| Message { finish_reason, ..Message::new("assistant", parts) })
    }
}

/// Reads the legacy indexed attributes below `prefix` (`gen_ai.prompt.0.role`, …), sorted by index.
pub(super) fn read_indexed<'t>(attributes: &'t Map<'_>, prefix: &str) -> Vec<Message<'t>> {
    let mut indexed: std::collections::BTreeMap<u32, Vec<(&str, &'t Value<'_>)>> = Default::default();
    for (key, value) in attributes.iter() {
        let rest = key.strip_prefix(prefix).and_then(|rest| rest.split_once('.'));
        if let Some((Ok(index), field)) = rest.map(|(index, field)| (index.parse(), field)) {
            indexed.entry(index).or_default().push((field, value));
        }
    }
    let messages = indexed.into_values().map(|fields| {
        let field = |name: &str| fields.iter().find(|(field, _)| *field == name).map(|(_, value)| *value);
        let text = |name: &str| {
            field(name).and_then(|value| value.borrowed().scalar_text()).filter(|text| !text.is_empty())
        };
        let default_role = if prefix.contains("completion") { "assistant" } else { "user" };
        let role = text("role").unwrap_or(Cow::Borrowed(default_role));
        let content = field("content").map(Value::borrowed).unwrap_or_default();
        let mut parts = if role == "tool" {
            let response = parsed_or_kept(content);
            vec![Part::ToolResponse { id: text("tool_call_id"), name: None, response }]
        } else {
            read_content(&content)
        };
        for index in 0.. {
            let member = |name: &str| format!("tool_calls.{index}.{name}");
            let Some(name) = text(&member("name")) else { break };
            let arguments = field(&member("arguments")).map(Value::borrowed).unwrap_or_default();
            let (id, arguments) = (text(&member("id")), parsed_or_kept(arguments));
            parts.push(Part::ToolCall { id, name: Some(name), arguments });
        }
        Message { finish_reason: text("finish_reason"), ..Message::new(role, parts) }
    });
    messages.filter(|message| !message.parts.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Vec<Message<'_>> {
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

    #[test]
    fn choice_events_with_json_in_strings_are_understood() {
        let value = json::parse(
            r#"{"finish_reason":"STOP","message":"{\"content\":\"done\",\"tool_calls\":[{\"id\":\"1\",\"function\":{\"name\":\"f\"}}]}"}"#,
        )
        .unwrap();
        let fields = EventFields::from_body(&value);
        let message = fields.choice().unwrap();
        assert_eq!(message.text().as_deref(), Some("done"));
        assert!(matches!(&message.parts[1], Part::ToolCall { name: Some(name), .. } if name == "f"));
        assert_eq!(message.finish_reason.as_deref(), Some("stop"));
    }
}
