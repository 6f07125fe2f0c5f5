//! Groups traces into evaluation units.

use std::collections::HashMap;

use crate::eval_set::{CaseMatch, EvalCase, EvalSet, NoMatch};
use crate::extraction::{GroupKey, conversation_key, has_session_name};
use crate::trace::Trace;

/// How traces are grouped into evaluation units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum GroupBy {
    /// By conversation if a trace has a session name or a case has several turns, else each trace by itself.
    #[default]
    Auto,
    /// Each trace by itself.
    Trace,
    /// Traces that share a session name, conversation id or session id.
    Conversation,
}

impl GroupBy {
    /// The names used in configurations and on the command line.
    pub const NAMES: [(&'static str, Self); 3] =
        [("auto", Self::Auto), ("trace", Self::Trace), ("conversation", Self::Conversation)];
}

/// The case chosen for a unit, or why there is none.
pub(super) type Selected<'e> = Result<(&'e EvalCase, CaseMatch), NoMatch>;

/// Traces that are evaluated together, by start.
pub(super) struct Unit<'t> {
    pub(super) key: GroupKey,
    pub(super) traces: Vec<&'t Trace<'t>>,
}

/// Groups traces into units, in first-seen order.
pub(super) fn group<'t>(
    traces: &'t [Trace<'t>],
    eval_set: Option<&EvalSet>,
    group_by: GroupBy,
) -> Vec<Unit<'t>> {
    let by_conversation = match group_by {
        GroupBy::Trace => false,
        GroupBy::Conversation => true,
        GroupBy::Auto => {
            let has_long_case =
                eval_set.is_some_and(|set| set.cases.iter().any(|case| case.conversation.len() > 1));
            has_long_case || traces.iter().any(has_session_name)
        }
    };
    let mut units: Vec<Unit<'t>> = Vec::new();
    let mut by_key: HashMap<GroupKey, usize> = HashMap::new();
    for trace in traces {
        let key = match by_conversation {
            true => conversation_key(trace),
            false => GroupKey(trace.id.to_string()),
        };
        let index = *by_key.entry(key.clone()).or_insert_with(|| {
            units.push(Unit { key, traces: Vec::new() });
            units.len() - 1
        });
        units[index].traces.push(trace);
    }
    for unit in &mut units {
        unit.traces.sort_by_key(|trace| trace.start_unix_nanos());
    }
    units
}
