//! One canonical view of each span, for every convention and version that producers follow.
//!
//! A fact is taken from the first source that has it: the current attribute, its deprecated name, the details
//! event, the deprecated message events, ADK's own attributes, the legacy indexed attributes. A list of
//! messages always comes whole from one source.

use std::borrow::Cow;

use super::attrs;
use super::legacy::{EventFields, read_indexed};
use super::messages::{
    ChatMessage, MessagePart, as_json, is_unspecified, parsed_or_kept, read_google, read_list, unreadable,
};
use crate::json::{Map, Value};
use crate::trace::{LogRecord, Span};

/// The kind of operation that a span records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    Inference,
    Agent,
    Workflow,
    Tool,
    /// Another generative AI operation, or none.
    Other,
}

impl Operation {
    /// Whether the span is an agent's or workflow's.
    pub(super) fn is_agentic(self) -> bool {
        matches!(self, Self::Agent | Self::Workflow)
    }
}

/// Token counts of one model call, as reported.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Usage {
    pub(super) input: Option<i64>,
    pub(super) output: Option<i64>,
    pub(super) cache_read: Option<i64>,
    pub(super) cache_write: Option<i64>,
}

/// The canonical view of a span.
#[derive(Debug)]
pub(super) struct View<'t> {
    pub(super) operation: Operation,
    pub(super) agent_name: Option<Cow<'t, str>>,
    pub(super) request_model: Option<Cow<'t, str>>,
    pub(super) response_model: Option<Cow<'t, str>>,
    pub(super) response_id: Option<Cow<'t, str>>,
    /// Lower case.
    pub(super) finish_reasons: Vec<Cow<'t, str>>,
    /// Present when input or output tokens are.
    pub(super) usage: Option<Usage>,
    /// Empty when absent.
    pub(super) input: Vec<ChatMessage<'t>>,
    /// Empty when absent.
    pub(super) output: Vec<ChatMessage<'t>>,
    /// The attributes with messages that cannot be read, each with the reason.
    pub(super) unreadable: Vec<(&'static str, String)>,
    pub(super) tool_name: Option<Cow<'t, str>>,
    pub(super) tool_call_id: Option<Cow<'t, str>>,
    pub(super) tool_arguments: Option<Value<'t>>,
    pub(super) tool_result: Option<Value<'t>>,
    /// An error type is given.
    pub(super) has_error_type: bool,
}

/// The places where facts about one span are looked up.
struct Sources<'t> {
    span: &'t Span<'t>,
    logs: Vec<&'t LogRecord<'t>>,
    /// Attributes of the details events: span events first, then logs.
    details: Vec<&'t Map<'t>>,
    adk: Option<Adk<'t>>,
}

impl<'t> View<'t> {
    /// Reads a span together with the log records that belong to it.
    pub(super) fn new(span: &'t Span<'t>, logs: Vec<&'t LogRecord<'t>>) -> Self {
        let span_events = span.events.iter().filter(|event| event.name == attrs::EVENT_DETAILS);
        let log_events = logs.iter().filter(|log| log.event_name.as_deref() == Some(attrs::EVENT_DETAILS));
        let details = span_events.map(|event| &event.attributes);
        let details = details.chain(log_events.map(|log| &log.attributes)).collect();
        let sources = Sources { span, logs, details, adk: Adk::read(span) };
        sources.view()
    }
}

impl<'t> Sources<'t> {
    fn view(&self) -> View<'t> {
        let text = |value: Option<&'t Value<'t>>| value.and_then(|value| value.borrowed().scalar_text());
        let adk = self.adk.as_ref();
        let request_model =
            text(self.fact(attrs::REQUEST_MODEL, None)).or_else(|| adk?.request_text("model"));
        let response_model =
            text(self.fact(attrs::RESPONSE_MODEL, None)).or_else(|| adk?.response_text("model_version"));
        let (input, output, event_reasons) = self.messages();
        let tool_name = text(self.own(attrs::TOOL_NAME)).filter(|name| name != "<not specified>");
        let call_id = text(self.own(attrs::TOOL_CALL_ID)).filter(|id| id != "<not specified>");
        let arguments = self.tool_value(attrs::TOOL_CALL_ARGUMENTS, attrs::ADK_TOOL_CALL_ARGS);
        let result = self.tool_value(attrs::TOOL_CALL_RESULT, attrs::ADK_TOOL_RESPONSE);
        View {
            operation: self.operation(request_model.is_some(), tool_name.as_deref()),
            agent_name: text(self.own(attrs::AGENT_NAME)),
            request_model,
            response_model,
            response_id: text(self.fact(attrs::RESPONSE_ID, None)),
            finish_reasons: self.finish_reasons(event_reasons),
            usage: self.usage(),
            input,
            output,
            unreadable: self.unreadable(),
            tool_name,
            tool_call_id: call_id,
            tool_arguments: arguments,
            tool_result: result.filter(|result| !is_unspecified(result)),
            has_error_type: self.own(attrs::ERROR_TYPE).is_some(),
        }
    }

    /// The value of an attribute of the span itself.
    fn own(&self, key: &str) -> Option<&'t Value<'t>> {
        present(self.span.attributes.get(key))
    }

    /// The first non-empty value of an attribute: on the span, on the span under its old name, or on a details event.
    fn fact(&self, key: &str, deprecated: Option<&str>) -> Option<&'t Value<'t>> {
        let on_event = || self.details.iter().find_map(|attributes| present(attributes.get(key)));
        self.own(key).or_else(|| self.own(deprecated?)).or_else(on_event)
    }

    fn operation(&self, has_request_model: bool, tool_name: Option<&str>) -> Operation {
        let span = self.span;
        if span.name == "execute_tool (merged)" || tool_name == Some("(merged tools)") {
            return Operation::Other; // ADK records parallel tool calls a second time, in one merged span
        }
        match self.own(attrs::OPERATION_NAME).and_then(Value::as_str) {
            Some("chat" | "generate_content" | "text_completion") => return Operation::Inference,
            Some("invoke_agent") => return Operation::Agent,
            Some("invoke_workflow") => return Operation::Workflow,
            Some("execute_tool") => return Operation::Tool,
            Some(_) => return Operation::Other,
            None => {}
        }
        match (&self.adk, &*span.name) {
            (Some(_), "call_llm") => return Operation::Inference,
            (Some(_), "invocation") => return Operation::Workflow,
            _ => {}
        }
        let has_provider = self.fact(attrs::PROVIDER_NAME, Some(attrs::SYSTEM)).is_some();
        let is_call = |key: &str| {
            key.starts_with(attrs::USAGE_PREFIX)
                || key.starts_with(attrs::PROMPT_PREFIX)
                || key.starts_with(attrs::COMPLETION_PREFIX)
                || key == attrs::INPUT_MESSAGES
                || key == attrs::OUTPUT_MESSAGES
        };
        if has_request_model && has_provider && span.attributes.iter().any(|(key, _)| is_call(key)) {
            return Operation::Inference;
        }
        Operation::Other
    }

    fn usage(&self) -> Option<Usage> {
        let count = |key, deprecated: Option<&str>, adk_key: &str| match self.fact(key, deprecated) {
            Some(value) => value.as_int(),
            None => self.adk.as_ref()?.response.get("usage_metadata")?.get(adk_key)?.as_int(),
        };
        let usage = Usage {
            input: count(attrs::INPUT_TOKENS, Some(attrs::PROMPT_TOKENS), "prompt_token_count"),
            output: count(attrs::OUTPUT_TOKENS, Some(attrs::COMPLETION_TOKENS), "candidates_token_count"),
            cache_read: count(attrs::CACHE_READ_TOKENS, None, "cached_content_token_count"),
            cache_write: count(attrs::CACHE_WRITE_TOKENS, Some(attrs::CACHE_CREATION_TOKENS), ""),
        };
        (usage.input.is_some() || usage.output.is_some()).then_some(usage)
    }

    fn finish_reasons(&self, event_reasons: Vec<Cow<'t, str>>) -> Vec<Cow<'t, str>> {
        let texts = |value: &'t Value<'t>| match parsed_or_kept(value.borrowed()) {
            Value::List(items) => items.iter().filter_map(Value::scalar_text).collect(),
            other => other.scalar_text().into_iter().collect::<Vec<_>>(),
        };
        let reported = self.fact(attrs::FINISH_REASONS, Some(attrs::FINISH_REASON)).map(texts);
        let mut reasons = reported.unwrap_or(event_reasons);
        if reasons.is_empty() {
            reasons.extend(self.adk.as_ref().and_then(|adk| adk.response_text("finish_reason")));
        }
        reasons.into_iter().map(|reason| reason.to_lowercase().into()).collect()
    }

    fn tool_value(&self, key: &str, adk_key: &str) -> Option<Value<'t>> {
        let adk = || {
            let value = present(self.span.attributes.get(adk_key))?;
            (value.as_str() != Some("N/A")).then_some(value)
        };
        let value = self.own(key).or_else(adk)?;
        Some(parsed_or_kept(value.borrowed())).filter(|value| !value.is_null())
    }

    /// The attributes with messages that are no JSON, or too long to be read.
    fn unreadable(&self) -> Vec<(&'static str, String)> {
        let mut found = Vec::new();
        for key in [attrs::INPUT_MESSAGES, attrs::OUTPUT_MESSAGES] {
            let values = std::iter::once(&self.span.attributes).chain(self.details.iter().copied());
            let faults = values.filter_map(|attributes| unreadable(attributes.get(key)?));
            found.extend(faults.take(1).map(|fault| (key, fault)));
        }
        found
    }

    /// Input messages, output messages, and the finish reasons of choice events.
    fn messages(&self) -> (Vec<ChatMessage<'t>>, Vec<ChatMessage<'t>>, Vec<Cow<'t, str>>) {
        let listed = |key: &str| {
            let parse = |value: &'t Value<'t>| as_json(value).and_then(read_list);
            let on_span = self.span.attributes.get(key).and_then(parse);
            on_span.or_else(|| self.details.iter().find_map(|details| details.get(key).and_then(parse)))
        };
        let (mut input, mut output) = (listed(attrs::INPUT_MESSAGES), listed(attrs::OUTPUT_MESSAGES));
        let mut reasons = Vec::new();
        if input.is_none() || output.is_none() {
            let (event_input, event_output) = self.message_events();
            reasons = event_output.iter().filter_map(|message| message.finish_reason.clone()).collect();
            let non_empty = |messages: Vec<ChatMessage<'t>>| (!messages.is_empty()).then_some(messages);
            let adk = self.adk.as_ref();
            let attributes = &self.span.attributes;
            input = input
                .or_else(|| non_empty(event_input))
                .or_else(|| non_empty(adk?.input()))
                .or_else(|| non_empty(read_indexed(attributes, attrs::PROMPT_PREFIX)));
            output = output
                .or_else(|| non_empty(event_output))
                .or_else(|| non_empty(adk?.output()))
                .or_else(|| non_empty(read_indexed(attributes, attrs::COMPLETION_PREFIX)));
        }
        (input.unwrap_or_default(), output.unwrap_or_default(), reasons)
    }

    /// Input and output from the deprecated message events on the span; if it has none, from those in logs, by time.
    fn message_events(&self) -> (Vec<ChatMessage<'t>>, Vec<ChatMessage<'t>>) {
        let on_span = self.span.events.iter().filter(|event| is_message_event(&event.name));
        let mut events: Vec<_> =
            on_span.map(|event| (&*event.name, EventFields::from_attributes(&event.attributes))).collect();
        if events.is_empty() {
            let mut logs: Vec<_> = self.logs.clone();
            logs.sort_by_key(|log| log.time_unix_nanos);
            let named = logs.into_iter().filter_map(|log| Some((log.event_name.as_deref()?, log)));
            let messages = named.filter(|(name, _)| is_message_event(name));
            events = messages.map(|(name, log)| (name, EventFields::from_body(&log.body))).collect();
        }
        let (mut input, mut output) = (Vec::new(), Vec::new());
        for (name, fields) in events {
            match name {
                attrs::EVENT_USER => input.extend(fields.input("user")),
                attrs::EVENT_ASSISTANT => input.extend(fields.input("assistant")),
                attrs::EVENT_TOOL => input.extend(fields.input("tool")),
                attrs::EVENT_CHOICE => output.extend(fields.choice()),
                _ => {} // system instructions
            }
        }
        (input, output)
    }
}

fn is_message_event(name: &str) -> bool {
    matches!(
        name,
        attrs::EVENT_SYSTEM
            | attrs::EVENT_USER
            | attrs::EVENT_ASSISTANT
            | attrs::EVENT_TOOL
            | attrs::EVENT_CHOICE
    )
}

fn present<'v, 't>(value: Option<&'v Value<'t>>) -> Option<&'v Value<'t>> {
    value.filter(|value| !value.is_null() && value.as_str() != Some("") && value.as_list() != Some(&[]))
}

/// ADK's request and response documents on a span.
struct Adk<'t> {
    request: Value<'t>,
    response: Value<'t>,
}

impl<'t> Adk<'t> {
    fn read(span: &'t Span<'t>) -> Option<Self> {
        let is_adk = span.origin.scope == attrs::ADK_SCOPE
            || span.attributes.iter().any(|(key, _)| key.starts_with(attrs::ADK_PREFIX));
        let document = |key| span.attributes.get(key).and_then(as_json).unwrap_or_default();
        is_adk.then(|| Self {
            request: document(attrs::ADK_LLM_REQUEST),
            response: document(attrs::ADK_LLM_RESPONSE),
        })
    }

    fn request_text(&self, key: &str) -> Option<Cow<'t, str>> {
        self.request.get(key).filter(|value| !value.is_empty()).and_then(Value::scalar_text)
    }

    fn response_text(&self, key: &str) -> Option<Cow<'t, str>> {
        self.response.get(key).filter(|value| !value.is_empty()).and_then(Value::scalar_text)
    }

    fn input(&self) -> Vec<ChatMessage<'t>> {
        let contents = self.request.get("contents").and_then(Value::as_list).unwrap_or_default();
        let read = |content: &Value<'t>| match content {
            Value::Str(_) => Some(ChatMessage::new("user", vec![MessagePart::Text(content.clone())])),
            content => read_google(content, "user"),
        };
        contents.iter().filter_map(read).filter(ChatMessage::has_content).collect()
    }

    fn output(&self) -> Vec<ChatMessage<'t>> {
        let content = self.response.get("content");
        let message = content.and_then(|content| read_google(content, "assistant"));
        message.filter(ChatMessage::has_content).into_iter().collect()
    }
}
