//! Conversations as they are extracted from traces, in the shape of ADK's invocations.

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

/// What somebody said.
#[derive(Debug, Serialize, Object)]
#[oai(rename = "Content")]
struct ContentAnswer {
    /// `user` or `model`.
    role: String,
    /// What was said; one part.
    parts: Vec<TextPart>,
}

impl ContentAnswer {
    fn new(role: &str, text: String) -> Self {
        Self { role: role.to_owned(), parts: vec![TextPart { text }] }
    }
}

/// A tool that was called.
#[derive(Debug, Serialize, Object)]
#[oai(rename = "ToolUse")]
struct ToolUseAnswer {
    /// Id of the call.
    id: Nullable<String>,
    /// Name of the tool.
    name: String,
    /// Arguments, as they were recorded.
    args: Nullable<RawObject>,
}

/// What a tool answered.
#[derive(Debug, Serialize, Object)]
#[oai(rename = "ToolResponse")]
struct ToolResponseAnswer {
    /// Id of the call.
    id: Nullable<String>,
    /// Name of the tool.
    name: String,
    /// The answer, as it was recorded; one that is no object is the member `result`.
    response: Nullable<RawObject>,
}

/// What happened between question and answer.
#[derive(Debug, Serialize, Object)]
#[serde(rename_all = "camelCase")]
#[oai(rename = "IntermediateData", rename_all = "camelCase")]
struct IntermediateAnswer {
    /// Tools that were called, in order.
    tool_uses: Vec<ToolUseAnswer>,
    /// What they answered, where that was recorded.
    tool_responses: Vec<ToolResponseAnswer>,
    /// What was said on the way: who said it, then a list of parts.
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

/// One turn: what the user said and what the agent did about it.
#[derive(Debug, Serialize, Object)]
#[serde(rename_all = "camelCase")]
#[oai(rename = "Invocation", rename_all = "camelCase")]
struct InvocationAnswer {
    /// The span that the turn is anchored at.
    invocation_id: String,
    /// What the user said; empty when that was not recorded.
    user_content: ContentAnswer,
    /// What the agent answered in the end.
    final_response: Nullable<ContentAnswer>,
    /// What happened in between.
    intermediate_data: IntermediateAnswer,
    /// When the turn began, in seconds since the Unix epoch.
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

/// What a conversation is about, for listings.
#[derive(Debug, Serialize, Object)]
#[serde(rename_all = "camelCase")]
#[oai(rename = "TraceMetadata", rename_all = "camelCase")]
pub(super) struct MetadataAnswer {
    /// The agent of the first turn that names one.
    agent_name: Nullable<String>,
    /// Id of the first agent that has one.
    agent_id: Nullable<String>,
    /// The service that sent the traces.
    service_name: Nullable<String>,
    /// The model that was asked for first, else the one that answered.
    model: Nullable<String>,
    /// The model that answered first.
    response_model: Nullable<String>,
    /// Who offers the model.
    provider: Nullable<String>,
    /// Always null; kept for clients of the reference.
    schema_version: Nullable<String>,
    /// When the first span started, in microseconds since the Unix epoch.
    start_time: i64,
    /// How the first thing the user said begins.
    user_input_preview: Nullable<String>,
    /// How the first answer begins.
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

/// The beginning of a text; `None` of an empty one.
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
    /// The earliest trace.
    trace_id: String,
    /// All traces, by start.
    trace_ids: Vec<String>,
    /// The turns.
    invocations: Vec<InvocationAnswer>,
    /// What was lost, mended or guessed on the way, and why there is no turn when there is none; sorted.
    warnings: Vec<String>,
    /// What it is about.
    metadata: NamedMetadataAnswer,
}

/// What a conversation is about, and what its file is called.
#[derive(Debug, Serialize, Object)]
#[serde(rename_all = "camelCase")]
#[oai(rename = "ConvertedTraceMetadata", rename_all = "camelCase")]
struct NamedMetadataAnswer {
    #[serde(flatten)]
    #[oai(flatten)]
    metadata: MetadataAnswer,
    /// What stands after `trace_` or `agentevals_` in the name of the file, without its ending.
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

/// Conversations.
#[derive(Debug, Serialize, Object)]
#[oai(rename = "Conversion")]
struct ConversionAnswer {
    /// One for each group of traces, in the order in which they were first seen.
    traces: Vec<ConvertedAnswer>,
    /// Files, or parts of files, that could not be read.
    errors: Vec<String>,
    /// What was lost on the way and belongs to no trace.
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

/// What was extracted.
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
