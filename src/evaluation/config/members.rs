//! Members that configuration files and requests have in common.

use crate::json::checked::{Cursor, Object};
use crate::trace::Format;

/// Default number of custom evaluators that run at the same time, as in the reference.
pub const DEFAULT_CONCURRENT_EVALS: usize = 5;

/// Members of the reference's old configurations, and the remedies.
pub(super) const OLD_MEMBERS: [(&str, &str); 5] = [
    ("metrics", "list them under `evaluators`"),
    ("custom_evaluators", "list them under `evaluators`"),
    ("judge_model", "give it to the evaluator that uses it"),
    ("threshold", "give it to each evaluator"),
    ("trajectory_match_type", "give it to the evaluator `tool_trajectory_avg_score`"),
];

/// Reports each of `members` that is present, with its remedy.
pub(super) fn refuse(object: &Object<'_, '_>, why: &str, members: &[(&'static str, &str)]) {
    for (name, remedy) in members {
        object.optional(name, |member| {
            member.fault(format!("{why}; {remedy}"));
            Some(())
        });
    }
}

/// Reads the number of custom evaluators, or traces, that run at the same time.
pub(super) fn read_concurrency(cursor: &Cursor<'_, '_>) -> Option<usize> {
    cursor.integer(1..=256).and_then(|number| usize::try_from(number).ok())
}

pub(super) fn read_format(cursor: &Cursor<'_, '_>) -> Option<Format> {
    cursor.string()?.parse().map_err(|error: String| cursor.fault(error)).ok()
}
