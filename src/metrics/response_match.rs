//! `response_match_score`: how many words the final response shares with the expected one (ROUGE-1).

use super::rouge::rouge1_f_measure;
use super::{MetricResult, Turns, mean};
use crate::json::Value;

/// Scores each turn's final response; an absent text counts as empty.
pub fn evaluate(name: &str, turns: Turns<'_>, threshold: f64) -> MetricResult {
    let paired = turns.pairs().map(|pair| match pair {
        (Some(actual), Some(expected)) => {
            let candidate = actual.response_text.as_deref().unwrap_or_default();
            rouge1_f_measure(candidate, &expected.response_texts.join("\n"))
        }
        _ => 0.0, // a missing or unexpected turn
    });
    let scores: Vec<f64> = paired.collect();
    let details = turns.mismatch().map(Value::object);
    MetricResult::scored(name, mean(&scores), scores.into_iter().map(Some).collect(), threshold, details)
}
