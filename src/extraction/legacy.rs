//! Messages in the forms of older conventions: one event per message, or indexed attributes.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use super::messages::{
    ChatMessage, MessagePart, parsed_or_kept, read_content, read_content_item, read_tool_calls,
};
use crate::json::{self, Map, Value};

/// The fields of a deprecated message event.
pub(super) struct EventFields<'t> {
    fields: Map<'t>,
    /// Set for span events: their attributes cannot hold maps, so producers write those as JSON text.
    has_json_in_strings: bool,
}

impl<'t> EventFields<'t> {
    /// Fields from the attributes of a span event.
    pub(super) fn from_attributes(attributes: &'t Map<'_>) -> Self {
        let entries = attributes.iter().map(|(key, value)| (Cow::Borrowed(&**key), value.borrowed()));
        Self { fields: Map::from_entries(entries.collect()), has_json_in_strings: true }
    }

    /// Fields from the body of a log record: a map, the JSON text of one, or a text that is the content.
    pub(super) fn from_body(body: &'t Value<'_>) -> Self {
        let fields = match body.as_str().map(json::parse) {
            Some(Ok(Value::Map(map))) => map,
            Some(_) => Map::from_entries(vec![("content".into(), body.borrowed())]),
            None => match body.borrowed() {
                Value::Map(map) => map,
                _ => Map::default(),
            },
        };
        Self { fields, has_json_in_strings: false }
    }

    /// A field that may hold a map or a list of maps; in a span event, also as JSON text.
    fn structured(&self, name: &str) -> Option<Value<'t>> {
        let value = self.fields.get(name)?.clone();
        if !self.has_json_in_strings {
            return Some(value);
        }
        Some(match parsed_or_kept(value.clone()) {
            map @ Value::Map(_) => map,
            Value::List(items) if items.iter().all(|item| item.as_map().is_some()) => Value::List(items),
            _ => value,
        })
    }

    fn content_parts(&self) -> Vec<MessagePart<'t>> {
        let Some(content) = self.structured("content") else {
            return Vec::new();
        };
        match (&content, self.fields.get("content")) {
            // A text that happens to be JSON stays the text of the message.
            (Value::Map(map), Some(written @ Value::Str(_))) if map.get("parts").is_none() => {
                read_content(written)
            }
            (Value::List(items), Some(written @ Value::Str(_))) => {
                let parts: Vec<_> = items.iter().filter_map(read_content_item).collect();
                if parts.is_empty() { read_content(written) } else { parts }
            }
            _ => read_content(&content),
        }
    }

    fn tool_calls(&self) -> Vec<MessagePart<'t>> {
        self.structured("tool_calls").as_ref().map(read_tool_calls).unwrap_or_default()
    }

    /// An input message of role `role`.
    pub(super) fn input(&self, role: &'static str) -> Option<ChatMessage<'t>> {
        let parts = match role {
            "tool" => {
                let text = |name: &str| self.fields.get(name).and_then(Value::scalar_text);
                let response = parsed_or_kept(self.fields.get("content").cloned().unwrap_or_default());
                vec![MessagePart::ToolResponse {
                    id: text("id").filter(|id| !id.is_empty()),
                    name: None,
                    response,
                }]
            }
            "assistant" => {
                let mut parts = self.content_parts();
                parts.extend(self.tool_calls());
                parts
            }
            _ => self.content_parts(),
        };
        (!parts.is_empty()).then(|| ChatMessage::new(role, parts))
    }

    /// The output message of a choice.
    pub(super) fn choice(&self) -> Option<ChatMessage<'t>> {
        let message = self.structured("message").filter(|message| message.as_map().is_some());
        let mut parts = match &message {
            Some(Value::Map(message)) => {
                let inner = Self { fields: message.clone(), has_json_in_strings: self.has_json_in_strings };
                let mut parts = inner.content_parts();
                parts.extend(inner.tool_calls());
                parts
            }
            _ => {
                let content = self.content_parts();
                match (content.is_empty(), self.fields.get("message")) {
                    (true, Some(text @ Value::Str(_))) => read_content(text),
                    _ => content,
                }
            }
        };
        if message.is_none() {
            parts.extend(self.tool_calls());
        }
        let finish_reason = self
            .fields
            .get("finish_reason")
            .and_then(Value::as_str)
            .map(|reason| reason.to_lowercase().into());
        (!parts.is_empty()).then(|| ChatMessage { finish_reason, ..ChatMessage::new("assistant", parts) })
    }
}

/// Reads the legacy indexed attributes below `prefix` (`gen_ai.prompt.0.role`, …), sorted by index.
pub(super) fn read_indexed<'t>(attributes: &'t Map<'_>, prefix: &str) -> Vec<ChatMessage<'t>> {
    let mut indexed: BTreeMap<u32, IndexedFields<'t>> = BTreeMap::new();
    for (key, value) in attributes.iter() {
        let rest = key.strip_prefix(prefix).and_then(|rest| rest.split_once('.'));
        let Some((Ok(index), field)) = rest.map(|(index, field)| (index.parse(), field)) else { continue };
        let fields = indexed.entry(index).or_default();
        let call = field.strip_prefix("tool_calls.").and_then(|rest| rest.split_once('.'));
        match call.map(|(number, field)| (number.parse(), field)) {
            Some((Ok(number), field)) => drop(fields.calls.entry(number).or_default().insert(field, value)),
            _ => drop(fields.plain.insert(field, value)),
        }
    }
    let messages = indexed.into_values().map(IndexedFields::into_message);
    messages.filter(|message| !message.parts.is_empty()).collect()
}

/// The fields of one indexed message, and of each of its tool calls.
#[derive(Default)]
struct IndexedFields<'t> {
    plain: HashMap<&'t str, &'t Value<'t>>,
    calls: BTreeMap<u32, HashMap<&'t str, &'t Value<'t>>>,
}

impl<'t> IndexedFields<'t> {
    fn into_message(self) -> ChatMessage<'t> {
        let text = |fields: &HashMap<&'t str, &'t Value<'t>>, name: &str| {
            fields.get(name)?.borrowed().scalar_text().filter(|text| !text.is_empty())
        };
        let value = |fields: &HashMap<&'t str, &'t Value<'t>>, name: &str| {
            fields.get(name).map(|value| value.borrowed()).unwrap_or_default()
        };
        let role = text(&self.plain, "role").unwrap_or(Cow::Borrowed("user"));
        let content = value(&self.plain, "content");
        let mut parts = if role == "tool" {
            let (id, response) = (text(&self.plain, "tool_call_id"), parsed_or_kept(content));
            vec![MessagePart::ToolResponse { id, name: None, response }]
        } else {
            read_content(&content)
        };
        for call in self.calls.values() {
            let Some(name) = text(call, "name") else { continue };
            let arguments = parsed_or_kept(value(call, "arguments"));
            parts.push(MessagePart::ToolCall { id: text(call, "id"), name: Some(name), arguments });
        }
        ChatMessage { finish_reason: text(&self.plain, "finish_reason"), ..ChatMessage::new(role, parts) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choice_events_with_json_in_strings_are_understood() {
        let value = json::parse(
            r#"{"finish_reason":"STOP","message":"{\"content\":\"done\",\"tool_calls\":[{\"id\":\"1\",\"function\":{\"name\":\"f\"}}]}"}"#,
        )
        .unwrap();
        let fields = EventFields::from_attributes(value.as_map().unwrap());
        let message = fields.choice().unwrap();
        assert_eq!(message.text().as_deref(), Some("done"));
        assert!(matches!(&message.parts[1], MessagePart::ToolCall { name: Some(name), .. } if name == "f"));
        assert_eq!(message.finish_reason.as_deref(), Some("stop"));
    }
}
