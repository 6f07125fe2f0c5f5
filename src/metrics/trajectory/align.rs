//! Finds the actual call for each expected one, and explains the calls that do not fit.

use std::cell::Cell;

use super::args;
use super::options::{MatchType, TrajectoryOptions};
use super::pairing::{OPTIMAL_PAIRS, pair_in_any_order, pair_in_order};
use crate::invocation::{Args, ToolCall};
use crate::json::{Map, Value};

/// Why a call whose arguments the trace does not have fits no expected call.
const NOT_RECORDED: &str = "its arguments were not recorded, so they cannot be compared";

/// The fate of one call.
#[derive(Debug, Clone, PartialEq, Eq)]
enum CallOutcome {
    Matched,
    Missing,
    Unexpected,
    OutOfOrder,
    ArgumentMismatch(String),
}

impl CallOutcome {
    fn is_allowed_by(&self, match_type: MatchType) -> bool {
        match self {
            Self::Matched => true,
            Self::Missing => match_type.allows_missing(),
            Self::Unexpected => match_type.allows_unexpected(),
            Self::OutOfOrder | Self::ArgumentMismatch(_) => false,
        }
    }
}

#[derive(Debug)]
struct AlignedCall {
    expected: Option<usize>,
    actual: Option<usize>,
    tool: String,
    outcome: CallOutcome,
    allowed: bool,
}

/// The calls of a turn, expected and actual, side by side.
#[derive(Debug)]
pub(super) struct Alignment(Vec<AlignedCall>);

impl Alignment {
    /// Aligns the calls of one turn.
    pub(super) fn of(
        expected: &[ToolCall],
        actual: &[ToolCall],
        options: &TrajectoryOptions,
        lenient: bool,
    ) -> Self {
        let call_pairs = CallPairs::new(expected, actual, options, lenient);
        let mut pairing = Pairing::new(call_pairs.matching_pairs(), actual.len());
        // Explaining the rest compares all pairs once more, which is done only where that is cheap.
        if call_pairs.is_small {
            pairing.pair_rest(|e, a| call_pairs.fits(e, a).then_some(CallOutcome::OutOfOrder));
            pairing.pair_rest(|e, a| call_pairs.argument_mismatch(e, a));
        }
        let entry = |e: Option<usize>, a: Option<usize>, tool: &ToolCall, outcome: CallOutcome| AlignedCall {
            expected: e,
            actual: a,
            tool: tool.name.clone(),
            allowed: outcome.is_allowed_by(options.match_type),
            outcome,
        };
        let mut entries = Vec::with_capacity(expected.len().max(actual.len()));
        for ((e, call), pair) in expected.iter().enumerate().zip(pairing.pairs) {
            entries.push(match pair {
                Some((a, outcome)) => entry(Some(e), Some(a), call, outcome),
                None => entry(Some(e), None, call, CallOutcome::Missing),
            });
        }
        for (a, call) in actual.iter().enumerate().filter(|(a, _)| !pairing.is_taken[*a]) {
            entries.push(entry(None, Some(a), call, CallOutcome::Unexpected));
        }
        Self(entries)
    }

    /// Whether there is an actual call that no expected call can excuse, even if more was called than is visible.
    pub(super) fn has_forbidden(&self, match_type: MatchType) -> bool {
        let is_unpaired =
            |entry: &AlignedCall| entry.actual.is_some() && entry.outcome != CallOutcome::Matched;
        !match_type.allows_unexpected() && self.0.iter().any(is_unpaired)
    }

    /// Whether the match type allows every outcome.
    pub(super) fn matches(&self) -> bool {
        self.0.iter().all(|entry| entry.allowed)
    }

    /// One object per call: indexes, tool, outcome, whether the match type allows it, and the reason.
    pub(super) fn into_details(self) -> Value<'static> {
        let index = |index: Option<usize>| index.map_or(Value::Null, |index| Value::Int(index as i64));
        let entry = |entry: AlignedCall| {
            let (outcome, reason) = match entry.outcome {
                CallOutcome::Matched => ("matched", None),
                CallOutcome::Missing => ("missing", Some(format!("`{}` was not called", entry.tool))),
                CallOutcome::Unexpected => ("unexpected", Some(format!("`{}` was not expected", entry.tool))),
                CallOutcome::OutOfOrder => {
                    ("out_of_order", Some(format!("`{}` was called at another place", entry.tool)))
                }
                CallOutcome::ArgumentMismatch(reason) => ("argument_mismatch", Some(reason)),
            };
            let mut members = vec![
                ("tool", Value::text(entry.tool)),
                ("expected", index(entry.expected)),
                ("actual", index(entry.actual)),
                ("outcome", Value::text(outcome)),
                ("allowed", Value::Bool(entry.allowed)),
            ];
            members.extend(reason.map(|reason| ("reason", Value::text(reason))));
            Value::object(members)
        };
        Value::List(self.0.into_iter().map(entry).collect())
    }
}

/// Compares the expected calls of a turn with the actual ones.
struct CallPairs<'c> {
    expected: &'c [ToolCall],
    actual: &'c [ToolCall],
    options: &'c TrajectoryOptions,
    lenient: bool,
    /// Whether there are few enough pairs to look at each of them.
    is_small: bool,
    /// Whether a pair fits, row by row, where that is known: pairing asks many times, and arguments may be large. Empty
    /// unless `is_small`.
    known: Vec<Cell<Option<bool>>>,
}

impl<'c> CallPairs<'c> {
    fn new(
        expected: &'c [ToolCall],
        actual: &'c [ToolCall],
        options: &'c TrajectoryOptions,
        lenient: bool,
    ) -> Self {
        let pairs = expected.len().saturating_mul(actual.len());
        let is_small = pairs <= OPTIMAL_PAIRS;
        let known = vec![Cell::new(None); if is_small { pairs } else { 0 }];
        Self { expected, actual, options, lenient, is_small, known }
    }

    /// For each expected call the actual one that it is matched with.
    fn matching_pairs(&self) -> Vec<Option<usize>> {
        let (rows, columns) = (self.expected.len(), self.actual.len());
        let fits = |e: usize, a: usize| self.fits(e, a);
        match self.options.match_type.is_ordered() {
            true => pair_in_order(rows, columns, &fits),
            false => pair_in_any_order(rows, columns, &fits, self.options.is_exact()),
        }
    }

    fn fits(&self, e: usize, a: usize) -> bool {
        let known = self.known.get(e * self.actual.len() + a);
        if let Some(fits) = known.and_then(Cell::get) {
            return fits;
        }
        let fits = self.is_same_tool(e, a) && self.difference(e, a).is_none();
        if let Some(known) = known {
            known.set(Some(fits));
        }
        fits
    }

    fn is_same_tool(&self, e: usize, a: usize) -> bool {
        self.expected[e].name == self.actual[a].name
    }

    fn argument_mismatch(&self, e: usize, a: usize) -> Option<CallOutcome> {
        let difference = if self.is_same_tool(e, a) { self.difference(e, a) } else { None };
        difference.map(CallOutcome::ArgumentMismatch)
    }

    /// The first difference between the arguments of two calls of one tool, in words.
    fn difference(&self, e: usize, a: usize) -> Option<String> {
        let (expected, actual) = (&self.expected[e], &self.actual[a]);
        let no_arguments = Value::Map(Map::default());
        let wanted = match &expected.args {
            Args::Given(args) => args,
            Args::Any | Args::Unrecorded if !self.lenient => return None,
            Args::Omitted if !self.lenient => &no_arguments,
            Args::Any | Args::Omitted | Args::Unrecorded => &Value::Null,
        };
        let rule = self.options.rule(&expected.name);
        let observed = match &actual.args {
            Args::Unrecorded if self.lenient => &no_arguments,
            Args::Unrecorded => return (!rule.accepts_all(wanted)).then(|| NOT_RECORDED.to_owned()),
            args => args.value(),
        };
        args::difference(wanted, observed, rule, self.lenient)
    }
}

/// An alignment in the making.
struct Pairing {
    /// For each expected call the actual one it is paired with, and the outcome.
    pairs: Vec<Option<(usize, CallOutcome)>>,
    /// For each actual call whether it is paired.
    is_taken: Vec<bool>,
}

impl Pairing {
    fn new(matching: Vec<Option<usize>>, columns: usize) -> Self {
        let mut is_taken = vec![false; columns];
        for a in matching.iter().flatten() {
            is_taken[*a] = true;
        }
        let pairs = matching.into_iter().map(|a| Some((a?, CallOutcome::Matched))).collect();
        Self { pairs, is_taken }
    }

    /// Pairs each expected call that is left with the first actual one that is left and for which there is an outcome.
    fn pair_rest(&mut self, outcome: impl Fn(usize, usize) -> Option<CallOutcome>) {
        for (e, pair) in self.pairs.iter_mut().enumerate().filter(|(_, pair)| pair.is_none()) {
            let mut free = (0..self.is_taken.len()).filter(|a| !self.is_taken[*a]);
            *pair = free.find_map(|a| Some((a, outcome(e, a)?)));
            if let Some((a, _)) = pair {
                self.is_taken[*a] = true;
            }
        }
    }
}
