//! Extracts conversations from traces without evaluating them.

use rayon::prelude::*;

use super::units::{self, GroupBy};
use crate::extraction::{self, Conversation};
use crate::trace::Trace;

/// The conversation of traces that belong together.
#[derive(Debug)]
pub struct Converted {
    /// Ids of the traces, by start.
    pub trace_ids: Vec<String>,
    /// Name of the document in which the first trace was found.
    pub document: String,
    /// The conversation recorded in them.
    pub conversation: Conversation,
}

impl Converted {
    /// The session's name from a document named `trace_NAME.json` or `agentevals_NAME.json`, the files of the
    /// reference.
    pub fn session_name(&self) -> Option<&str> {
        let name = self.document.rsplit(['/', '\\']).next()?;
        let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
        let session = ["trace_", "agentevals_"].iter().find_map(|prefix| stem.strip_prefix(prefix))?;
        Some(session).filter(|session| !session.is_empty())
    }
}

/// Extracts a conversation from each group of traces, in the order in which the groups were first seen.
pub fn convert(traces: &[Trace<'_>], group_by: GroupBy) -> Vec<Converted> {
    let units = units::group(traces, None, group_by);
    let convert = |unit: &units::Unit<'_>| Converted {
        trace_ids: unit.traces.iter().map(|trace| trace.id.to_string()).collect(),
        document: unit.traces.first().map(|trace| trace.document.clone()).unwrap_or_default(),
        conversation: extraction::extract(&unit.traces),
    };
    units.par_iter().map(convert).collect()
}
