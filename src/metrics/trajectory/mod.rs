//! `tool_trajectory_avg_score`: whether each turn called the expected tools with the expected arguments.

mod align;
mod args;
mod options;
mod pairing;

pub use args::{ArgsMode, ArgsRule, Matcher, PathPattern};
pub use options::{MatchType, TrajectoryOptions};

use align::Alignment;

use super::{MetricResult, Turns, mean};
use crate::invocation::{Args, ExpectedInvocation, Invocation, ToolCall};
use crate::json::{Map, Value};

/// Scores each turn 1 or 0; the details have the outcome of every call.
pub fn evaluate(name: &str, turns: Turns<'_>, options: &TrajectoryOptions, threshold: f64) -> MetricResult {
    let pairs = turns.pairs();
    let comparisons: Vec<_> =
        pairs.map(|(actual, expected)| compare(actual, expected, options, turns.lenient)).collect();
    let scores: Vec<f64> =
        comparisons.iter().map(|comparison| if comparison.matched { 1.0 } else { 0.0 }).collect();
    let comparisons = comparisons.into_iter().map(|comparison| comparison.details).collect();
    let mut details = vec![("comparisons", Value::List(comparisons))];
    details.extend(turns.mismatch().into_iter().flatten());
    let per_invocation = scores.iter().copied().map(Some).collect();
    MetricResult::scored(name, mean(&scores), per_invocation, threshold, Some(Value::object(details)))
}

struct Comparison {
    matched: bool,
    details: Value<'static>,
}

fn compare(
    actual: Option<&Invocation>,
    expected: Option<&ExpectedInvocation>,
    options: &TrajectoryOptions,
    lenient: bool,
) -> Comparison {
    let (actual_calls, expected_calls) =
        (actual.map_or(&[][..], |turn| &turn.tool_calls), expected.map_or(&[][..], |turn| &turn.tool_calls));
    let alignment = Alignment::of(expected_calls, actual_calls, options, lenient);
    let turn_problem = match (actual, expected) {
        (None, Some(_)) => Some("the turn is missing"),
        (Some(_), None) => Some("the turn was not expected"),
        _ => None,
    };
    let matched = turn_problem.is_none() && alignment.matches();
    let id = actual.map(|turn| &turn.span_id).or(expected.map(|turn| &turn.invocation_id));
    let strict_args = |call: &ToolCall| match &call.args {
        Args::Omitted if !lenient => Value::Map(Map::default()),
        args => args.value().clone(),
    };
    let list = |calls: &[ToolCall]| {
        let call = |call: &ToolCall| {
            Value::object([("name", Value::text(call.name.clone())), ("args", strict_args(call))])
        };
        Value::List(calls.iter().map(call).collect())
    };
    let mut details = vec![
        ("invocation_id", Value::text(id.cloned().unwrap_or_default())),
        ("expected", list(expected_calls)),
        ("actual", list(actual_calls)),
        ("matched", Value::Bool(matched)),
        ("calls", alignment.into_details()),
    ];
    details.extend(turn_problem.map(|fault| ("reason", Value::text(fault))));
    Comparison { matched, details: Value::object(details) }
}

#[cfg(test)]
mod tests;
