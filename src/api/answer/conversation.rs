//! Conversations extracted from traces, in the shape of ADK's invocations.

use poem_openapi::Object;
use serde::Serialize;
use serde_json::value::to_raw_value;
use serde_json::{Value, json};

use super::member::{Nullable, RawObject};
use crate::evaluation::Converted;
use crate::extraction::Conversation;
use crate::invocation::{Invocation, ToolCall};
use crate::json;
use crate::uploads::Conversion;

/// A piece of text.
#[derive(Debug, Serialize, Object)]
#[oai(rename = "TextPart")]
struct TextPart {
    /// The text.
    text: String,
}

/// A message of the user or of the agent.
#[derive(Debug, Serialize, Object)]
#[oai(rename = "Content")]
struct ContentAnswer {
    /// `user` or `model`.
    role: String,
    /// The text, as a single part.
    parts: Vec<TextPart>,
}

impl ContentAnswer {
    fn new(role: &str, text: String) -> Self {
        Self { role: role.to_owned(), parts: vec![TextPart { text }] }
    }
}

/// A call of a tool.
#[derive(Debug, Serialize, Object)]
#[oai(rename = "ToolUse")]
struct ToolUseAnswer {
    /// Id of the call.
    id: Nullable<String>,
    /// Name of the tool.
    name: String,
    /// Arguments, as recorded.
    args: Nullable<RawObject>,
}

/// The answer of a tool.
#[derive(Debug, Serialize, Object)]
#[oai(rename = "ToolResponse")]
struct ToolResponseAnswer {
    /// Id of the call.
    id: Nullable<String>,
    /// Name of the tool.
    name: String,
    /// The answer, as recorded; a value that is no object is wrapped as the member `result`.
    response: Nullable<RawObject>,
}

/// Tool calls and texts between the user's message and the final response.
#[derive(Debug, Serialize, Object)]
#[serde(rename_all = "camelCase")]
#[oai(rename = "IntermediateData", rename_all = "camelCase")]
struct IntermediateAnswer {
    /// Tool calls, in order.
    tool_uses: Vec<ToolUseAnswer>,
    /// Answers of the tools, as far as they were recorded.
    tool_responses: Vec<ToolResponseAnswer>,
    /// Texts of the agent before the final response: each is the speaker, then a list of parts.
    intermediate_responses: Vec<Vec<Value>>,
}

impl IntermediateAnswer {
    fn of(turn: &Invocation) -> Self {
        let tool_use = |call: &ToolCall| ToolUseAnswer {
            id: Nullable(call.id.clone()),
            name: call.name.clone(),
            args: Nullable(to_raw_value(call.args.value()).ok().map(RawObject)),
        };
        let tool_response = |call: &ToolCall| {
            let response = match call.result.as_ref()? {
                map @ json::Value::Map(_) => to_raw_value(map),
                other => to_raw_value(&json::Value::object([("result", other.clone())])),
            };
            let (id, name) = (Nullable(call.id.clone()), call.name.clone());
            Some(ToolResponseAnswer { id, name, response: Nullable(response.ok().map(RawObject)) })
        };
        let speaker = turn.agent_name.as_deref().unwrap_or("agent");
        let interim = |text: &String| vec![json!(speaker), json!([{"text": text}])];
        Self {
            tool_uses: turn.tool_calls.iter().map(tool_use).collect(),
            tool_responses: turn.tool_calls.iter().filter_map(tool_response).collect(),
            intermediate_responses: turn.interim_texts.iter().map(interim).collect(),
        }
    }
}

/// One turn: the user's message, the tool calls, and the agent's response.
#[derive(Debug, Serialize, Object)]
#[serde(rename_all = "camelCase")]
#[oai(rename = "Invocation", rename_all = "camelCase")]
struct InvocationAnswer {
    /// Id of the span that the turn was extracted from.
    invocation_id: String,
    /// The user's message; its text is empty if it was not recorded.
    user_content: ContentAnswer,
    /// The agent's final response.
    final_response: Nullable<ContentAnswer>,
    /// Tool calls and texts in between.
    intermediate_data: IntermediateAnswer,
    /// Start of the turn, in seconds since the Unix epoch.
    creation_timestamp: f64,
}

impl From<&Invocation> for InvocationAnswer {
    fn from(turn: &Invocation) -> Self {
        let response = turn.response_text.clone();
        Self {
            invocation_id: turn.span_id.clone(),
            user_content: ContentAnswer::new("user", turn.user_text.clone().unwrap_or_default()),
            final_response: Nullable(response.map(|text| ContentAnswer::new("model", text))),
            intermediate_data: IntermediateAnswer::of(turn),
            creation_timestamp: turn.start_unix_nanos as f64 / 1e9,
        }
    }
}

/// Agent, model and first texts of a conversation, for listings.
#[derive(Debug, Serialize, Object)]
#[serde(rename_all = "camelCase")]
#[oai(rename = "TraceMetadata", rename_all = "camelCase")]
pub(super) struct MetadataAnswer {
    /// Name of the agent, from the first turn that has one.
    agent_name: Nullable<String>,
    /// Id of the agent, from the first span that has one.
    agent_id: Nullable<String>,
    /// The service that sent the traces.
    service_name: Nullable<String>,
    /// The first model requested, else the first that answered.
    model: Nullable<String>,
    /// The first model that answered.
    response_model: Nullable<String>,
    /// The provider of the model.
    provider: Nullable<String>,
    /// Always null; kept for clients of the reference implementation.
    schema_version: Nullable<String>,
    /// Start of the first span, in microseconds since the Unix epoch.
    start_time: i64,
    /// Beginning of the user's first message.
    user_input_preview: Nullable<String>,
    /// Beginning of the first response.
    final_output_preview: Nullable<String>,
}

/// Longest preview, in characters.
const PREVIEW: usize = 200;

impl From<&Conversation> for MetadataAnswer {
    fn from(conversation: &Conversation) -> Self {
        let first = conversation.invocations.first();
        let identity = conversation.identity.clone();
        Self {
            agent_name: Nullable(conversation.agent_name.clone()),
            agent_id: Nullable(identity.agent_id),
            service_name: Nullable(conversation.service_name.clone()),
            model: Nullable(identity.model),
            response_model: Nullable(identity.response_model),
            provider: Nullable(identity.provider),
            schema_version: Nullable(None),
            start_time: conversation.start_unix_nanos / 1000,
            user_input_preview: Nullable(first.and_then(|turn| preview(turn.user_text.as_deref()?))),
            final_output_preview: Nullable(first.and_then(|turn| preview(turn.response_text.as_deref()?))),
        }
    }
}

/// The beginning of a text; `None` if it is empty.
fn preview(text: &str) -> Option<String> {
    let cut = text.char_indices().nth(PREVIEW);
    let shown = cut.map_or_else(|| text.to_owned(), |(at, _)| format!("{}...", &text[..at]));
    Some(shown).filter(|shown| !shown.is_empty())
}

/// The conversation of a trace, or of traces that belong together.
#[derive(Debug, Serialize, Object)]
#[serde(rename_all = "camelCase")]
#[oai(rename = "ConvertedTrace", rename_all = "camelCase")]
struct ConvertedAnswer {
    /// Id of the earliest trace.
    trace_id: String,
    /// Ids of all traces, by start.
    trace_ids: Vec<String>,
    /// The turns.
    invocations: Vec<InvocationAnswer>,
    /// Data that was lost, repaired or guessed, and why there are no turns if there are none; sorted.
    warnings: Vec<String>,
    /// Agent, model and first texts.
    metadata: NamedMetadataAnswer,
}

/// Agent, model and first texts of a conversation, and the name of its session.
#[derive(Debug, Serialize, Object)]
#[serde(rename_all = "camelCase")]
#[oai(rename = "ConvertedTraceMetadata", rename_all = "camelCase")]
struct NamedMetadataAnswer {
    #[serde(flatten)]
    #[oai(flatten)]
    metadata: MetadataAnswer,
    /// `NAME` of a file called `trace_NAME.json` or `agentevals_NAME.json`; null for other files.
    session_name: Nullable<String>,
}

impl From<&Converted> for ConvertedAnswer {
    fn from(converted: &Converted) -> Self {
        let Converted { trace_ids, conversation, .. } = converted;
        let mut warnings: Vec<_> = conversation.warnings.iter().map(|warning| warning.text.clone()).collect();
        warnings.extend(conversation.emptiness.clone());
        warnings.sort();
        Self {
            trace_id: trace_ids.first().cloned().unwrap_or_default(),
            trace_ids: trace_ids.clone(),
            invocations: conversation.invocations.iter().map(InvocationAnswer::from).collect(),
            warnings,
            metadata: NamedMetadataAnswer {
                metadata: MetadataAnswer::from(conversation),
                session_name: Nullable(converted.session_name().map(str::to_owned)),
            },
        }
    }
}

/// Conversations extracted from traces.
#[derive(Debug, Serialize, Object)]
#[oai(rename = "Conversion")]
struct ConversionAnswer {
    /// One for each group of traces, in the order in which they were first seen.
    traces: Vec<ConvertedAnswer>,
    /// Files, or parts of files, that could not be read.
    errors: Vec<String>,
    /// Data that was lost, repaired or guessed, and belongs to no trace.
    warnings: Vec<String>,
}

impl From<&Conversion> for ConversionAnswer {
    fn from(Conversion { converted, errors, warnings }: &Conversion) -> Self {
        Self {
            traces: converted.iter().map(ConvertedAnswer::from).collect(),
            errors: errors.clone(),
            warnings: warnings.iter().map(|warning| warning.text.clone()).collect(),
        }
    }
}

/// The conversations.
#[derive(Debug, Serialize, Object)]
#[oai(rename = "ConversionEnvelope")]
pub(in crate::api) struct OneConversion {
    /// The conversations.
    data: ConversionAnswer,
}

impl From<&Conversion> for OneConversion {
    fn from(conversion: &Conversion) -> Self {
        Self { data: conversion.into() }
    }
}
