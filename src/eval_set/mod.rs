//! Golden eval sets: the ADK schema, read with located errors, and the choice of the case for a conversation.

mod parse;
mod select;

use std::collections::HashMap;

pub use parse::EvalSetError;
use select::start_key;
pub use select::{CaseIndex, CaseMatch, NoMatch};

use crate::invocation::ExpectedInvocation;
use crate::json::checked::{Cursor, Fault};

/// A golden eval set.
#[derive(Debug, Clone, Default)]
pub struct EvalSet {
    /// Its id.
    pub id: String,
    /// Its cases, in the order written.
    pub cases: Vec<EvalCase>,
    /// What is allowed but will not do what its writer hoped.
    pub remarks: Vec<Fault>,
}

/// One case: a conversation as it should go.
#[derive(Debug, Clone, Default)]
pub struct EvalCase {
    /// Its id; should be unique in the set.
    pub id: String,
    /// The expected turns; empty for cases that can never be matched.
    pub conversation: Vec<ExpectedInvocation>,
}

impl EvalSet {
    /// Reads an eval set from JSON.
    ///
    /// # Errors
    /// All faults of the document, each with its path.
    pub fn parse(text: &str) -> Result<Self, EvalSetError> {
        parse::parse(text)
    }

    /// Reads an eval set that is part of a document; faults are located in that document.
    pub fn read(cursor: &Cursor<'_, '_>) -> Option<Self> {
        parse::read_eval_set(cursor)
    }

    /// The cases that a conversation can be matched with.
    pub fn candidates(&self) -> impl Iterator<Item = &EvalCase> {
        self.cases.iter().filter(|case| !case.conversation.is_empty())
    }

    /// What is wrong with the set although it can be read: duplicate ids, cases that can never be used, cases
    /// that cannot be told apart.
    pub fn lint(&self) -> Vec<Fault> {
        let mut faults = self.remarks.clone();
        let mut report = |index: usize, message: String| {
            let (path, pointer) = (format!("$.eval_cases[{index}]"), format!("/eval_cases/{index}"));
            faults.push(Fault { path, pointer, message });
        };
        let mut by_id: HashMap<&str, usize> = HashMap::new();
        let mut by_start: HashMap<Vec<String>, usize> = HashMap::new();
        for (index, case) in self.cases.iter().enumerate() {
            if let Some(first) = by_id.get(&*case.id) {
                report(index, format!("duplicate eval_id `{}`; case {first} has it already", case.id));
            }
            by_id.entry(&case.id).or_insert(index);
            let Some(first_turn) = case.conversation.first() else {
                report(index, format!("case `{}` has no conversation and is never used", case.id));
                continue;
            };
            if start_key(&first_turn.user_text()).is_empty() {
                let remedy = "it can only be matched by `agentevals.eval.case.id` or as the only case";
                report(index, format!("case `{}` starts without user text; {remedy}", case.id));
                continue;
            }
            let texts = case.conversation.iter().map(|turn| start_key(&turn.user_text())).collect();
            if let Some(first) = by_start.get(&texts) {
                let other = &self.cases[*first].id;
                report(
                    index,
                    format!("cases `{other}` and `{}` have the same user texts: ambiguous", case.id),
                );
            }
            by_start.entry(texts).or_insert(index);
        }
        faults
    }
}
