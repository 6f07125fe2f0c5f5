//! The metrics, computed from expected and observed turns. Nothing here does I/O; programs outside are behind the port
//! [`custom::CustomEvaluator`].

pub mod catalog;
pub mod custom;
pub mod efficiency;
pub mod response_match;
pub mod rouge;
pub mod trajectory;

use std::time::Duration;

use serde::Serialize;

use crate::invocation::{ExpectedInvocation, Invocation};
use crate::json::{Map, Value};

/// The judgement on a score.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum EvalStatus {
    /// At or above the threshold.
    Passed,
    /// Below the threshold.
    Failed,
    /// There is no score; the result says why.
    NotEvaluated,
    /// Reported only; neither passes nor fails.
    Informational,
}

impl EvalStatus {
    /// The names used in results.
    pub const NAMES: [(&'static str, Self); 4] = [
        ("PASSED", Self::Passed),
        ("FAILED", Self::Failed),
        ("NOT_EVALUATED", Self::NotEvaluated),
        ("INFORMATIONAL", Self::Informational),
    ];

    /// Judges a score; without a score, `NotEvaluated`.
    pub fn of(score: Option<f64>, threshold: f64) -> Self {
        match score {
            Some(score) if score >= threshold => Self::Passed,
            Some(_) => Self::Failed,
            None => Self::NotEvaluated,
        }
    }
}

/// The result of one metric on one evaluation unit.
#[derive(Debug, Clone, Serialize)]
pub struct MetricResult {
    /// Name of the metric or evaluator.
    pub metric_name: String,
    /// Overall score; `None` when the metric was not computed.
    pub score: Option<f64>,
    /// The judgement on the score.
    pub eval_status: EvalStatus,
    /// One score per turn: observed turns first, then missing ones.
    pub per_invocation_scores: Vec<Option<f64>>,
    /// One status per entry of `per_invocation_scores`.
    pub per_invocation_statuses: Vec<EvalStatus>,
    /// Why the metric could not be computed.
    pub error: Option<String>,
    /// Stable name of the kind of error.
    pub error_type: Option<String>,
    /// The comparisons or reasons behind the score; user JSON in it is as the user wrote it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub details: Option<Value<'static>>,
    /// Time that computing it took, milliseconds; `None` when nothing was computed.
    pub duration_ms: Option<f64>,
}

impl MetricResult {
    /// A result from scores per turn and the overall score.
    pub fn scored(
        name: &str,
        score: Option<f64>,
        per_invocation: Vec<Option<f64>>,
        threshold: f64,
        details: Option<Value<'static>>,
    ) -> Self {
        Self {
            metric_name: name.to_owned(),
            score,
            eval_status: EvalStatus::of(score, threshold),
            per_invocation_statuses: per_invocation
                .iter()
                .map(|score| EvalStatus::of(*score, threshold))
                .collect(),
            per_invocation_scores: per_invocation,
            error: None,
            error_type: None,
            details,
            duration_ms: None,
        }
    }

    /// A metric that does not apply, and why; not an error.
    pub fn not_evaluated(name: &str, reason: impl Into<String>) -> Self {
        let details = Value::object([("reason", Value::text(reason.into()))]);
        Self::scored(name, None, Vec::new(), 0.0, Some(details))
    }

    /// The result with a reason in its details.
    pub fn with_reason(mut self, reason: impl Into<String>) -> Self {
        let mut members = match self.details.take() {
            Some(Value::Map(map)) => map.iter().map(|(key, value)| (key.clone(), value.clone())).collect(),
            _ => Vec::new(),
        };
        members.push(("reason".into(), Value::text(reason.into())));
        Self { details: Some(Value::Map(Map::from_entries(members))), ..self }
    }

    /// A metric that failed.
    pub fn failed(name: &str, error_type: &str, error: impl Into<String>) -> Self {
        Self {
            error: Some(error.into()),
            error_type: Some(error_type.to_owned()),
            ..Self::scored(name, None, Vec::new(), 0.0, None)
        }
    }

    /// The result with the time that computing it took.
    pub fn timed(self, elapsed: Duration) -> Self {
        Self { duration_ms: Some(elapsed.as_secs_f64() * 1e3), ..self }
    }

    /// The `reason` in the details: why a metric was not evaluated, or a custom evaluator's own text.
    pub fn reason(&self) -> Option<&str> {
        self.details.as_ref()?.get("reason")?.as_str()
    }
}

/// Observed and expected turns, paired by index.
#[derive(Debug, Clone, Copy)]
pub struct Turns<'a> {
    /// The observed turns.
    pub actual: &'a [Invocation],
    /// The turns of the matched eval case.
    pub expected: &'a [ExpectedInvocation],
    /// Score like the reference: turns beyond the shorter side are ignored, values are equal as in Python, absent
    /// arguments match nothing.
    pub lenient: bool,
}

impl<'a> Turns<'a> {
    /// Pairs of turns. A turn without a partner is paired with `None`, or left out if lenient.
    pub fn pairs(&self) -> impl Iterator<Item = (Option<&'a Invocation>, Option<&'a ExpectedInvocation>)> {
        let (actual, expected) = (self.actual, self.expected);
        let count = match self.lenient {
            true => actual.len().min(expected.len()),
            false => actual.len().max(expected.len()),
        };
        (0..count).map(move |index| (actual.get(index), expected.get(index)))
    }

    /// Fails a result that passed although turns are missing or unexpected, however high its mean is; not if lenient.
    pub fn hold_to_count(&self, result: MetricResult) -> MetricResult {
        let has_mismatch = self.actual.len() != self.expected.len();
        match result.eval_status {
            EvalStatus::Passed if has_mismatch && !self.lenient => {
                MetricResult { eval_status: EvalStatus::Failed, ..result }
            }
            _ => result,
        }
    }

    /// The numbers of missing and of unexpected turns, as members of details; `None` if there are neither.
    pub fn mismatch(&self) -> Option<[(&'static str, Value<'static>); 2]> {
        let (actual, expected) = (self.actual.len(), self.expected.len());
        let count = |number: usize| Value::Int(number as i64);
        (actual != expected).then(|| {
            [
                ("missing_turns", count(expected.saturating_sub(actual))),
                ("unexpected_turns", count(actual.saturating_sub(expected))),
            ]
        })
    }
}

/// Arithmetic mean, summed in order; `None` of an empty list.
pub fn mean(numbers: &[f64]) -> Option<f64> {
    (!numbers.is_empty()).then(|| numbers.iter().sum::<f64>() / numbers.len() as f64)
}
