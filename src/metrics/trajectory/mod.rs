//! `tool_trajectory_avg_score`: whether each turn called the expected tools with the expected arguments.

mod align;
mod args;
mod pairing;

pub use align::MatchType;
pub use args::{ArgsMode, ArgsRule, Matcher, PathPattern};

use std::collections::BTreeMap;

use super::{MetricResult, Turns, mean};
use crate::invocation::{Args, ExpectedInvocation, Invocation, ToolCall};
use crate::json::Value;
use align::Alignment;

/// How trajectories are compared.
#[derive(Debug, Clone, Default)]
pub struct TrajectoryOptions {
    /// Which calls must be there and in which order.
    pub match_type: MatchType,
    /// How arguments are compared.
    pub args: ArgsRule,
    /// How the arguments of single tools are compared instead, by tool name.
    pub tools: BTreeMap<String, ArgsRule>,
}

impl TrajectoryOptions {
    fn rule(&self, tool: &str) -> &ArgsRule {
        self.tools.get(tool).unwrap_or(&self.args)
    }

    /// Whether every comparison is plain equality, so that equal calls are interchangeable.
    fn is_exact(&self) -> bool {
        self.args.is_exact() && self.tools.values().all(ArgsRule::is_exact)
    }
}

/// Compares two calls; the answer says what differs.
fn difference(
    expected: &ToolCall,
    actual: &ToolCall,
    options: &TrajectoryOptions,
    lenient: bool,
) -> Option<String> {
    if expected.name != actual.name {
        return Some(format!("expected a call of `{}`, got `{}`", expected.name, actual.name));
    }
    let no_arguments = Value::Map(crate::json::Map::default());
    let wanted = match &expected.args {
        Args::Given(args) => args,
        Args::Any if !lenient => return None,
        Args::Omitted if !lenient => &no_arguments,
        Args::Any | Args::Omitted => &Value::Null,
    };
    args::difference(wanted, actual.args.value(), options.rule(&expected.name), lenient)
}

/// Scores each turn 1 or 0; details say call by call what matched and what did not.
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
        Args::Omitted if !lenient => Value::Map(crate::json::Map::default()),
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
