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

/// Scores each turn 1 or 0; the details have the outcome of every call. A turn with calls that the trace does not show
/// has no score unless the visible ones decide, and then the metric is not evaluated.
pub fn evaluate(name: &str, turns: Turns<'_>, options: &TrajectoryOptions, threshold: f64) -> MetricResult {
    let pairs = turns.pairs();
    let comparisons: Vec<_> =
        pairs.map(|(actual, expected)| compare(actual, expected, options, turns.lenient)).collect();
    let per_invocation: Vec<_> = comparisons.iter().map(|comparison| comparison.score).collect();
    let unseen = comparisons.iter().find_map(|comparison| comparison.unseen.clone());
    let comparisons = comparisons.into_iter().map(|comparison| comparison.details).collect();
    let mut details = vec![("comparisons", Value::List(comparisons))];
    details.extend(turns.mismatch().into_iter().flatten());
    let scores: Option<Vec<f64>> = per_invocation.iter().copied().collect();
    let score = scores.and_then(|scores| mean(&scores));
    let result = MetricResult::scored(name, score, per_invocation, threshold, Some(Value::object(details)));
    match (unseen, score) {
        (Some(unseen), _) => result.with_reason(unseen),
        // A result shows 0.5 beside FAILED, which needs a word where nobody gave the threshold.
        (None, Some(score)) if !turns.lenient && threshold == 1.0 && 0.0 < score && score < 1.0 => {
            result.with_reason("every turn has to match, unless a lower threshold is given")
        }
        _ => turns.hold_to_count(result),
    }
}

struct Comparison {
    /// `None` when the visible calls do not decide.
    score: Option<f64>,
    /// Why there is no score.
    unseen: Option<String>,
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
    let unseen = actual.and_then(|turn| turn.unseen_calls.as_deref()).filter(|_| !lenient);
    // Calls that the trace does not show may be missing ones and forbidden ones, but they excuse no forbidden one.
    let is_decided = match matched {
        true => options.match_type.allows_unexpected(),
        false => turn_problem.is_some() || alignment.has_forbidden(options.match_type),
    };
    let unseen = unseen.filter(|_| !is_decided);
    let id = actual.map(|turn| &turn.span_id).or(expected.map(|turn| &turn.invocation_id));
    let strict_args = |call: &ToolCall| match &call.args {
        Args::Omitted if !lenient => Value::Map(Map::default()),
        Args::Unrecorded if lenient => Value::Map(Map::default()),
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
    let reason = turn_problem.map(str::to_owned).or(unseen.map(str::to_owned));
    details.extend(reason.map(|reason| ("reason", Value::text(reason))));
    let score = unseen.is_none().then_some(if matched { 1.0 } else { 0.0 });
    Comparison { score, unseen: unseen.map(str::to_owned), details: Value::object(details) }
}

#[cfg(test)]
mod tests;
