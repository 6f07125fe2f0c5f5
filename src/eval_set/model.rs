//! An eval set and its cases.

use crate::invocation::ExpectedInvocation;
use crate::json::checked::Fault;

/// A golden eval set.
#[derive(Debug, Clone, Default)]
pub struct EvalSet {
    /// Its id.
    pub id: String,
    /// Its cases, in the order written.
    pub cases: Vec<EvalCase>,
    /// Legal parts that are probably mistakes, found while reading.
    pub remarks: Vec<Fault>,
    /// Unknown members that are null: later versions of the schema have them, and they say nothing.
    pub null_members: Vec<Fault>,
}

/// One case: a conversation as it is expected.
#[derive(Debug, Clone, Default)]
pub struct EvalCase {
    /// Its id; should be unique in the set.
    pub id: String,
    /// The expected turns; a case without turns is never matched.
    pub conversation: Vec<ExpectedInvocation>,
}

impl EvalSet {
    /// The cases that a conversation can be matched with.
    pub fn candidates(&self) -> impl Iterator<Item = &EvalCase> {
        self.cases.iter().filter(|case| !case.conversation.is_empty())
    }
}
