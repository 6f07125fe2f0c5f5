//! How trajectories are compared.

use std::collections::BTreeMap;

use super::args::ArgsRule;

/// The calls that must be there, and their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MatchType {
    /// The expected calls, in order, and no others.
    #[default]
    Exact,
    /// The expected calls in order; others may come before, between and after.
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

    pub(super) fn is_ordered(self) -> bool {
        matches!(self, Self::Exact | Self::InOrder)
    }

    pub(super) fn allows_missing(self) -> bool {
        self == Self::Subset
    }

    pub(super) fn allows_unexpected(self) -> bool {
        matches!(self, Self::InOrder | Self::AnyOrder | Self::Superset)
    }
}

/// How trajectories are compared.
#[derive(Debug, Clone, Default)]
pub struct TrajectoryOptions {
    /// The calls that must be there, and their order.
    pub match_type: MatchType,
    /// How arguments are compared.
    pub args: ArgsRule,
    /// Rules for the arguments of single tools, by tool name; they replace `args`.
    pub tools: BTreeMap<String, ArgsRule>,
}

impl TrajectoryOptions {
    pub(super) fn rule(&self, tool: &str) -> &ArgsRule {
        self.tools.get(tool).unwrap_or(&self.args)
    }

    /// Whether arguments are compared for plain equality only. Calls that equal the same call are then interchangeable.
    pub(super) fn is_exact(&self) -> bool {
        self.args.is_exact() && self.tools.values().all(ArgsRule::is_exact)
    }
}
