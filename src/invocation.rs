//! One agent turn, as expected by a golden eval set and as observed in a trace.

use crate::json::Value;

/// A tool call with what came of it.
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
    /// The member was left out of the golden: no arguments.
    Omitted,
    /// The golden says `null`: any arguments.
    Any,
    /// These; always a map for an observed call.
    Given(Value<'static>),
}

impl Args {
    /// The arguments of an observed call: a map as it is, nothing as `{}`, anything else as `{"value": …}`.
    pub fn observed(arguments: Value<'static>) -> Self {
        Self::Given(match arguments {
            map @ Value::Map(_) => map,
            Value::Null => Value::Map(crate::json::Map::default()),
            other => Value::Map(crate::json::Map::from_entries(vec![("value".into(), other)])),
        })
    }

    /// The arguments as they appear in results; left-out ones are null, as in the reference.
    pub fn value(&self) -> &Value<'static> {
        match self {
            Self::Omitted | Self::Any => &Value::Null,
            Self::Given(value) => value,
        }
    }
}

/// What a golden expects of one turn.
#[derive(Debug, Clone, Default)]
pub struct ExpectedInvocation {
    /// Id from the golden; may be empty.
    pub invocation_id: String,
    /// Non-empty text parts of the user content.
    pub user_texts: Vec<String>,
    /// Non-empty text parts of the final response; empty when there is none.
    pub response_texts: Vec<String>,
    /// Expected tool calls, with expected responses as results.
    pub tool_calls: Vec<ToolCall>,
}

impl ExpectedInvocation {
    /// The user text as cases are matched by it: parts joined without separator.
    pub fn user_text(&self) -> String {
        self.user_texts.concat()
    }

    /// The final text as custom evaluators see it: parts joined without separator.
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
    /// The span that results about this turn belong to: the anchor, or the last model call of a bare root.
    pub evaluated_span_id: String,
    /// Response id of the last model call.
    pub response_id: Option<String>,
    /// When the turn began, nanoseconds since the Unix epoch.
    pub start_unix_nanos: i64,
    /// Who answered.
    pub agent_name: Option<String>,
    /// What the user said.
    pub user_text: Option<String>,
    /// What the agent said on the way, one text per message.
    pub interim_texts: Vec<String>,
    /// What the agent answered in the end.
    pub response_text: Option<String>,
    /// Tool calls in order.
    pub tool_calls: Vec<ToolCall>,
    /// What it cost.
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
