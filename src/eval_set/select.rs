//! Chooses the eval case that a conversation is compared with.

use std::collections::HashMap;

use serde::Serialize;

use super::model::{EvalCase, EvalSet};
use crate::invocation::Invocation;

/// How a case was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CaseMatch {
    /// The trace names the case.
    Explicit,
    /// The conversation starts with the case's user text.
    UserText,
    /// There is one case and one conversation.
    SingleCase,
}

impl CaseMatch {
    /// The names used in results.
    pub const NAMES: [(&'static str, Self); 3] =
        [("explicit", Self::Explicit), ("user_text", Self::UserText), ("single_case", Self::SingleCase)];
}

/// Why no case was found.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoMatch {
    /// There is no eval set.
    #[error("no eval set provided")]
    NoEvalSet,
    /// The trace names a case that is not in the set.
    #[error("eval case '{0}' not found")]
    UnknownCase(String),
    /// The conversation has no turns.
    #[error("no turns to match")]
    NoTurns,
    /// The first turn has no user text.
    #[error("no user input to match; name the case with the attribute `agentevals.eval.case.id`")]
    NoUserInput,
    /// No case starts like the conversation.
    #[error("no matching eval case: none starts with the user text {0:?}")]
    NoCase(String),
    /// Several cases start like the conversation.
    #[error("ambiguous eval case: {} start with the same user text", .0.join(", "))]
    Ambiguous(Vec<String>),
}

/// The form in which user texts are compared: white space collapsed and trimmed, case folded.
pub(super) fn start_key(text: &str) -> String {
    // Python's idea of white space: Unicode's, and the four information separators.
    let is_space = |c: char| c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c);
    let words: Vec<_> = text.split(is_space).filter(|word| !word.is_empty()).collect();
    caseless::default_case_fold_str(&words.join(" "))
}

/// The cases of a set, indexed by id and by first user text.
pub struct CaseIndex<'e> {
    candidates: Vec<&'e EvalCase>,
    by_id: HashMap<&'e str, &'e EvalCase>,
    /// By `start_key` of the first user text.
    by_start: HashMap<String, Vec<&'e EvalCase>>,
}

impl<'e> CaseIndex<'e> {
    /// Indexes the cases that a conversation can be matched with.
    pub fn new(eval_set: &'e EvalSet) -> Self {
        let candidates: Vec<_> = eval_set.candidates().collect();
        let mut by_id = HashMap::with_capacity(candidates.len());
        let mut by_start: HashMap<String, Vec<_>> = HashMap::with_capacity(candidates.len());
        for case in candidates.iter().copied() {
            by_id.entry(&*case.id).or_insert(case);
            by_start.entry(start_key(&case.conversation[0].user_text())).or_default().push(case);
        }
        Self { candidates, by_id, by_start }
    }

    /// Chooses the case for a conversation. `single_unit` says that no other conversation is evaluated.
    ///
    /// # Errors
    /// Why no case fits. A conversation without one is never compared with some other case.
    pub fn select(
        &self,
        invocations: &[Invocation],
        explicit_id: Option<&str>,
        single_unit: bool,
        lenient: bool,
    ) -> Result<(&'e EvalCase, CaseMatch), NoMatch> {
        if let Some(id) = explicit_id {
            let found = self.by_id.get(id).map(|case| (*case, CaseMatch::Explicit));
            return found.ok_or_else(|| NoMatch::UnknownCase(id.to_owned()));
        }
        let first = invocations.first().ok_or(NoMatch::NoTurns)?;
        let single = match self.candidates[..] {
            [only] if single_unit => Some((only, CaseMatch::SingleCase)),
            _ => None,
        };
        let written = first.user_text.as_deref().unwrap_or_default();
        let start = start_key(written);
        if start.is_empty() {
            return single.ok_or(NoMatch::NoUserInput);
        }
        let mut equal = self.by_start.get(&start).cloned().unwrap_or_default();
        match equal[..] {
            [] => return single.ok_or_else(|| NoMatch::NoCase(written.chars().take(100).collect())),
            [only] => return Ok((only, CaseMatch::UserText)),
            _ => {}
        }
        let names = equal.iter().map(|case| case.id.clone()).collect();
        equal.retain(|case| case.conversation.len() == invocations.len());
        if equal.len() > 1 && !lenient {
            // Later turns may tell cases apart that start alike; the reference does not look at them.
            equal.retain(|case| has_same_user_texts(case, invocations));
        }
        match equal[..] {
            [only] => Ok((only, CaseMatch::UserText)),
            _ => Err(NoMatch::Ambiguous(names)),
        }
    }
}

fn has_same_user_texts(case: &EvalCase, invocations: &[Invocation]) -> bool {
    case.conversation.iter().zip(invocations).all(|(expected, actual)| {
        start_key(&expected.user_text()) == start_key(actual.user_text.as_deref().unwrap_or_default())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_compared_without_regard_to_space_and_case() {
        assert_eq!(start_key("  Paint\tthe\n STRASSE "), start_key("paint the straße"));
        assert_ne!(start_key("ｆｕｌｌ"), start_key("full"));
    }
}
