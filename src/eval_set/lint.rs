//! Finds probable mistakes in an eval set that can be read.

use std::collections::HashMap;

use super::model::EvalSet;
use super::select::start_key;
use crate::json::checked::Fault;

impl EvalSet {
    /// Probable mistakes in a readable set: duplicate ids, cases that are never used, cases that cannot be told apart.
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
