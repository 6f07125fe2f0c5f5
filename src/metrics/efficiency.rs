//! The cost of each turn in calls, tokens and time. Numbers to watch; they neither pass nor fail.

use super::{EvalStatus, MetricResult, mean};
use crate::invocation::Invocation;
use crate::json::Value;

/// The four efficiency metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Efficiency {
    /// Tool calls per turn.
    ToolCalls,
    /// Model calls per turn.
    ModelCalls,
    /// Input and output tokens per turn.
    Tokens,
    /// Seconds per turn.
    Duration,
}

/// Measures each turn that has a value and their mean.
pub fn evaluate(name: &str, metric: Efficiency, invocations: &[Invocation]) -> MetricResult {
    let per_invocation: Vec<_> = invocations.iter().map(|turn| value(metric, turn)).collect();
    let known: Vec<f64> = per_invocation.iter().copied().flatten().collect();
    let breakdown = invocations.iter().map(|turn| breakdown(metric, turn)).collect();
    let unit = match metric {
        Efficiency::ToolCalls | Efficiency::ModelCalls => "calls",
        Efficiency::Tokens => "tokens",
        Efficiency::Duration => "seconds",
    };
    let mut details = vec![("unit", Value::text(unit)), ("per_invocation", Value::List(breakdown))];
    if known.is_empty() {
        details.push(("reason", Value::text("no turn reports its token usage")));
    }
    let details = Value::object(details);
    let mut result = MetricResult::scored(name, mean(&known), per_invocation, 0.0, Some(details));
    result.eval_status = EvalStatus::Informational;
    result.per_invocation_statuses.fill(EvalStatus::Informational);
    result
}

fn value(metric: Efficiency, turn: &Invocation) -> Option<f64> {
    let usage = &turn.usage;
    match metric {
        Efficiency::ToolCalls => Some(turn.tool_calls.len() as f64),
        Efficiency::ModelCalls => Some(usage.model_calls as f64),
        Efficiency::Tokens if usage.input_tokens.is_none() && usage.output_tokens.is_none() => None,
        Efficiency::Tokens => {
            Some(usage.input_tokens.unwrap_or(0) as f64 + usage.output_tokens.unwrap_or(0) as f64)
        }
        Efficiency::Duration => Some(usage.total_ms / 1e3),
    }
}

fn breakdown(metric: Efficiency, turn: &Invocation) -> Value<'static> {
    let usage = &turn.usage;
    let count = |tokens: Option<i64>| tokens.map_or(Value::Null, Value::Int);
    let seconds = |ms: f64| Value::Float(ms / 1e3);
    let mut entries = vec![("invocation_id", Value::text(turn.span_id.clone()))];
    match metric {
        Efficiency::ToolCalls => {
            let names = turn.tool_calls.iter().map(|call| Value::text(call.name.clone())).collect();
            entries.push(("tools", Value::List(names)));
        }
        Efficiency::ModelCalls => {}
        Efficiency::Tokens => {
            entries.extend([("input", count(usage.input_tokens)), ("output", count(usage.output_tokens))]);
        }
        Efficiency::Duration => {
            let rest = (usage.total_ms - usage.model_ms - usage.tool_ms).max(0.0);
            entries.extend([
                ("model", seconds(usage.model_ms)),
                ("tool", seconds(usage.tool_ms)),
                ("rest", seconds(rest)),
            ]);
        }
    }
    Value::object(entries)
}
