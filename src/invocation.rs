//! One agent turn, as expected by a golden eval set and as observed in a trace.

use crate::json::Value;

/// A tool call and its result.
#[derive(Debug, Clone)]
pub struct ToolCall {
    /// Call id, if the producer gave one.
    pub id: Option<String>,
    /// Name of the tool.
    pub name: String,
    /// Arguments.
    pub args: Args,
    /// Structured result; `None` when none was recorded.
    pub result: Option<Value<'static>>,
    /// Whether the call is known to have failed.
    pub failed: bool,
}

/// The arguments of a tool call.
#[derive(Debug, Clone)]
pub enum Args {
    /// The golden has no member `args`: no arguments are expected.
    Omitted,
    /// The golden has `null`: any arguments are accepted.
    Any,
    /// The arguments; always a map for an observed call.
    Given(Value<'static>),
    /// The trace does not have the arguments of an observed call; they are unknown.
    Unrecorded,
}

impl Args {
    /// The arguments of an observed call: a map unchanged, null as `{}`, other values as `{"value": …}`.
    pub fn observed(arguments: Value<'static>) -> Self {
        Self::Given(match arguments {
            map @ Value::Map(_) => map,
            Value::Null => Value::Map(crate::json::Map::default()),
            other => Value::Map(crate::json::Map::from_entries(vec![("value".into(), other)])),
        })
    }

    /// The arguments as results show them; null unless they are given.
    pub fn value(&self) -> &Value<'static> {
        match self {
            Self::Omitted | Self::Any | Self::Unrecorded => &Value::Null,
            Self::Given(value) => value,
        }
    }
}

/// One turn as a golden expects it.
#[derive(Debug, Clone, Default)]
pub struct ExpectedInvocation {
    /// Id from the golden; may be empty.
    pub invocation_id: String,
    /// Non-empty text parts of the user content.
    pub user_texts: Vec<String>,
    /// Whether the golden says what the final response is, be it empty.
    pub has_response: bool,
    /// Non-empty text parts of the final response, thoughts included; empty when there is none.
    pub response_texts: Vec<String>,
    /// Those parts of `response_texts` that are no thoughts of the model.
    pub answer_texts: Vec<String>,
    /// Expected tool calls; their results are the expected responses.
    pub tool_calls: Vec<ToolCall>,
}

impl ExpectedInvocation {
    /// The user text by which cases are matched: parts joined without separator.
    pub fn user_text(&self) -> String {
        self.user_texts.concat()
    }

    /// The final response for custom evaluators: parts joined without separator.
    pub fn response_text(&self) -> Option<String> {
        (!self.response_texts.is_empty()).then(|| self.response_texts.concat())
    }
}

/// One turn that was observed.
#[derive(Debug, Clone)]
pub struct Invocation {
    /// Trace that the turn's anchor span belongs to.
    pub trace_id: String,
    /// Id of the anchor span, which is also the invocation id.
    pub span_id: String,
    /// The span that evaluation results are attached to: the anchor, or its last model call if the anchor is a plain
    /// root.
    pub evaluated_span_id: String,
    /// Response id of the last model call.
    pub response_id: Option<String>,
    /// Start of the turn, nanoseconds since the Unix epoch.
    pub start_unix_nanos: i64,
    /// Name of the agent.
    pub agent_name: Option<String>,
    /// The user's request.
    pub user_text: Option<String>,
    /// Texts of the agent before its final response, one per message.
    pub interim_texts: Vec<String>,
    /// The agent's final response.
    pub response_text: Option<String>,
    /// Tool calls in order.
    pub tool_calls: Vec<ToolCall>,
    /// Why the turn may have made calls that are not among `tool_calls`; `None` when the trace shows all.
    pub unseen_calls: Option<String>,
    /// Whether the trace has any output of the agent; if not, an absent response says nothing.
    pub has_output: bool,
    /// Calls, tokens and time.
    pub usage: TurnUsage,
}

/// Cost of one turn.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct TurnUsage {
    /// Logical model calls.
    pub model_calls: usize,
    /// Input tokens; `None` when no call reported usage.
    pub input_tokens: Option<i64>,
    /// Output tokens; `None` when no call reported usage.
    pub output_tokens: Option<i64>,
    /// Wall time of the turn, milliseconds.
    pub total_ms: f64,
    /// Wall time in model calls, milliseconds; overlapping calls count once.
    pub model_ms: f64,
    /// Wall time in tool calls, milliseconds; overlapping calls count once.
    pub tool_ms: f64,
}
