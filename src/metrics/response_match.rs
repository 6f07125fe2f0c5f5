//! `response_match_score`: how many words the final response shares with the expected one (ROUGE-1).

use super::rouge::rouge1_f_measure;
use super::{MetricResult, Turns, mean};
use crate::invocation::{ExpectedInvocation, Invocation};
use crate::json::Value;

/// The reason where an empty response is expected and no output was captured: nobody knows whether it was empty.
const UNSEEN: &str = "an empty final response is expected, and the trace has no output of the agent";

/// Scores each turn's final response; the details have both texts of each turn that scores less than 1.
///
/// A turn whose golden has no final response is not evaluated. Equal texts score 1, also those without a word.
pub fn evaluate(name: &str, turns: Turns<'_>, threshold: f64) -> MetricResult {
    if turns.lenient {
        return evaluate_leniently(name, turns, threshold);
    }
    let compared: Vec<_> = turns.pairs().map(compare).collect();
    let scores: Vec<_> = compared.iter().map(|turn| turn.score).collect();
    let is_unseen = compared.iter().any(|turn| turn.reason == Some(UNSEEN));
    let differing = compared.into_iter().filter(|turn| turn.score != Some(1.0));
    let responses: Vec<_> = differing.map(Compared::into_details).collect();
    let mut details = Vec::new();
    if !responses.is_empty() {
        details.push(("responses", Value::List(responses)));
    }
    details.extend(turns.mismatch().into_iter().flatten());
    let details = (!details.is_empty()).then(|| Value::object(details));
    let evaluated: Vec<f64> = scores.iter().flatten().copied().collect();
    let score = mean(&evaluated).filter(|_| !is_unseen);
    let result = MetricResult::scored(name, score, scores, threshold, details);
    match result.score {
        None if is_unseen => result.with_reason(UNSEEN),
        None => result.with_reason("no turn of the eval case has a `final_response`"),
        Some(_) => turns.hold_to_count(result),
    }
}

/// Scores as the reference does: an absent text counts as empty, and thoughts are part of the expected text.
fn evaluate_leniently(name: &str, turns: Turns<'_>, threshold: f64) -> MetricResult {
    let paired = turns.pairs().map(|pair| match pair {
        (Some(actual), Some(expected)) => {
            let candidate = actual.response_text.as_deref().unwrap_or_default();
            rouge1_f_measure(candidate, &expected.response_texts.join("\n"))
        }
        _ => 0.0, // lenient pairs are complete
    });
    let scores: Vec<f64> = paired.collect();
    let details = turns.mismatch().map(Value::object);
    MetricResult::scored(name, mean(&scores), scores.into_iter().map(Some).collect(), threshold, details)
}

/// The final responses of one turn side by side.
struct Compared {
    invocation_id: String,
    expected: Option<String>,
    actual: Option<String>,
    score: Option<f64>,
    /// Why there is no score, or why it does not come from the texts.
    reason: Option<&'static str>,
}

fn compare((actual, expected): (Option<&Invocation>, Option<&ExpectedInvocation>)) -> Compared {
    let id = actual.map(|turn| &turn.span_id).or(expected.map(|turn| &turn.invocation_id));
    let expected_text = expected.filter(|turn| turn.has_response).map(|turn| turn.answer_texts.join("\n"));
    let actual_text = actual.and_then(|turn| turn.response_text.clone());
    let (score, reason) = match (actual, expected, &expected_text) {
        (None, ..) => (Some(0.0), Some("the turn is missing")),
        (_, None, _) => (Some(0.0), Some("the turn was not expected")),
        (.., None) => (None, Some("the eval case has no `final_response` for this turn")),
        (Some(turn), _, Some(expected)) if expected.trim().is_empty() && !turn.has_output => {
            (None, Some(UNSEEN))
        }
        (.., Some(expected)) => (Some(score(actual_text.as_deref().unwrap_or_default(), expected)), None),
    };
    Compared {
        invocation_id: id.cloned().unwrap_or_default(),
        expected: expected_text,
        actual: actual_text,
        score,
        reason,
    }
}

/// ROUGE-1, except that equal texts score 1, also without a word.
fn score(actual: &str, expected: &str) -> f64 {
    if actual.trim() == expected.trim() { 1.0 } else { rouge1_f_measure(actual, expected) }
}

impl Compared {
    fn into_details(self) -> Value<'static> {
        let text = |text: Option<String>| text.map_or(Value::Null, Value::text);
        let mut members = vec![
            ("invocation_id", Value::text(self.invocation_id)),
            ("expected", text(self.expected)),
            ("actual", text(self.actual)),
            ("score", self.score.map_or(Value::Null, Value::Float)),
        ];
        members.extend(self.reason.map(|reason| ("reason", Value::text(reason))));
        Value::object(members)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_texts_score_one_also_without_a_word() {
        for text in ["", "✅", "…", "Yes."] {
            assert_eq!(score(text, text), 1.0, "{text}");
        }
        assert_eq!(score("", "✅"), 0.0);
        assert!(score("yes it does", "yes it is") < 1.0);
    }
}
