//! Which expected call is which actual call, and what is wrong with the rest.

use std::cell::RefCell;

use super::pairing::{OPTIMAL_PAIRS, pair_in_any_order, pair_in_order};
use super::{TrajectoryOptions, difference};
use crate::invocation::ToolCall;
use crate::json::Value;

/// Which calls must be there and in which order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MatchType {
    /// The expected calls, in order, and no others.
    #[default]
    Exact,
    /// The expected calls in order; others may come between.
    InOrder,
    /// The expected calls in any order; others may come too.
    AnyOrder,
    /// No call that was not expected, in any order; expected calls may be missing.
    Subset,
    /// Every expected call in any order; others may come too. The same rule as `AnyOrder`.
    Superset,
}

impl MatchType {
    /// The names used in configurations and on the command line.
    pub const NAMES: [(&'static str, Self); 5] = [
        ("EXACT", Self::Exact),
        ("IN_ORDER", Self::InOrder),
        ("ANY_ORDER", Self::AnyOrder),
        ("SUBSET", Self::Subset),
        ("SUPERSET", Self::Superset),
    ];

    fn is_ordered(self) -> bool {
        matches!(self, Self::Exact | Self::InOrder)
    }

    fn allows_missing(self) -> bool {
        self == Self::Subset
    }

    fn allows_unexpected(self) -> bool {
        matches!(self, Self::InOrder | Self::AnyOrder | Self::Superset)
    }
}

/// What became of one call.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Outcome {
    Matched,
    Missing,
    Unexpected,
    OutOfOrder,
    ArgumentMismatch(String),
}

#[derive(Debug)]
struct Entry {
    expected: Option<usize>,
    actual: Option<usize>,
    tool: String,
    outcome: Outcome,
    allowed: bool,
}

/// The calls of a turn, expected and actual, side by side.
#[derive(Debug)]
pub(super) struct Alignment(Vec<Entry>);

impl Alignment {
    /// Aligns the calls of one turn.
    pub(super) fn of(
        expected: &[ToolCall],
        actual: &[ToolCall],
        options: &TrajectoryOptions,
        lenient: bool,
    ) -> Self {
        let (rows, columns) = (expected.len(), actual.len());
        let is_small = rows.saturating_mul(columns) <= OPTIMAL_PAIRS;
        // Whether two calls fit is asked many times and may mean comparing large arguments: it is remembered.
        let known: RefCell<Vec<Option<bool>>> =
            RefCell::new(vec![None; if is_small { rows * columns } else { 0 }]);
        let compare = |e: usize, a: usize| {
            expected[e].name == actual[a].name
                && difference(&expected[e], &actual[a], options, lenient).is_none()
        };
        let same = |e: usize, a: usize| match is_small {
            true => {
                let remembered = known.borrow()[e * columns + a];
                let fits = remembered.unwrap_or_else(|| compare(e, a));
                known.borrow_mut()[e * columns + a] = Some(fits);
                fits
            }
            false => compare(e, a),
        };
        let match_type = options.match_type;
        let mut partner = match match_type.is_ordered() {
            true => pair_in_order(rows, columns, &same),
            false => pair_in_any_order(rows, columns, &same, options.is_exact()),
        };
        let mut taken = vec![false; columns];
        partner.iter().flatten().for_each(|actual| taken[*actual] = true);
        let mut outcomes: Vec<_> = partner.iter().map(|partner| partner.map(|_| Outcome::Matched)).collect();
        let mut settle = |pairs: &dyn Fn(usize, usize) -> Option<Outcome>| {
            for e in 0..rows {
                let found = (partner[e].is_none()).then(|| {
                    let free = (0..columns).filter(|a| !taken[*a]);
                    free.filter_map(|a| pairs(e, a).map(|outcome| (a, outcome))).next()
                });
                if let Some(Some((a, outcome))) = found {
                    partner[e] = Some(a);
                    taken[a] = true;
                    outcomes[e] = Some(outcome);
                }
            }
        };
        if is_small {
            settle(&|e, a| same(e, a).then_some(Outcome::OutOfOrder));
            settle(&|e, a| {
                let is_same_tool = expected[e].name == actual[a].name;
                let why = is_same_tool.then(|| difference(&expected[e], &actual[a], options, lenient));
                why.flatten().map(Outcome::ArgumentMismatch)
            });
        }
        let mut entries: Vec<Entry> = (0..rows)
            .map(|e| {
                let outcome = outcomes[e].take().unwrap_or(Outcome::Missing);
                let allowed = match outcome {
                    Outcome::Matched => true,
                    Outcome::Missing => match_type.allows_missing(),
                    _ => false,
                };
                Entry {
                    expected: Some(e),
                    actual: partner[e],
                    tool: expected[e].name.clone(),
                    outcome,
                    allowed,
                }
            })
            .collect();
        let extra = (0..columns).filter(|a| !taken[*a]).map(|a| Entry {
            expected: None,
            actual: Some(a),
            tool: actual[a].name.clone(),
            outcome: Outcome::Unexpected,
            allowed: match_type.allows_unexpected(),
        });
        entries.extend(extra);
        Self(entries)
    }

    /// Whether the turn's calls are as the match type wants them.
    pub(super) fn matches(&self) -> bool {
        self.0.iter().all(|entry| entry.allowed)
    }

    /// One object per call: indexes, tool, outcome, whether the match type allows it, and the reason.
    pub(super) fn into_details(self) -> Value<'static> {
        let index = |index: Option<usize>| index.map_or(Value::Null, |index| Value::Int(index as i64));
        let entry = |entry: Entry| {
            let (outcome, reason) = match entry.outcome {
                Outcome::Matched => ("matched", None),
                Outcome::Missing => ("missing", Some(format!("`{}` was not called", entry.tool))),
                Outcome::Unexpected => ("unexpected", Some(format!("`{}` was not expected", entry.tool))),
                Outcome::OutOfOrder => {
                    ("out_of_order", Some(format!("`{}` was called at another place", entry.tool)))
                }
                Outcome::ArgumentMismatch(reason) => ("argument_mismatch", Some(reason)),
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
