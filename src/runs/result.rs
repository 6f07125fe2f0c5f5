//! The results of a run and their summary.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use crate::ids::RunId;

/// The result of one metric on one evaluation unit.
#[derive(Debug, Clone)]
pub struct ResultRecord {
    /// Place among the run's results: by unit, then by evaluator.
    pub ordinal: u32,
    /// The unit: the key by which its traces were grouped, else its trace id.
    pub item_id: String,
    /// Name of the unit for people.
    pub item_name: String,
    /// The eval case that the unit was compared with; the same over all runs of one eval set.
    pub eval_case_id: Option<String>,
    /// Name of the metric.
    pub evaluator_name: String,
    /// The kind of program that computes the metric.
    pub evaluator_type: EvaluatorType,
    /// How the score compares with the threshold.
    pub status: ResultStatus,
    /// Overall score.
    pub score: Option<f64>,
    /// One score per turn.
    pub per_invocation_scores: Vec<Option<f64>>,
    /// The unit's earliest trace.
    pub trace_id: Option<String>,
    /// The turn's anchor span, when the unit has exactly one turn.
    pub span_id: Option<String>,
    /// Reasons for the score, as JSON; user JSON in it stays as the user wrote it.
    pub details: Option<Box<RawValue>>,
    /// Why the metric could not be computed.
    pub error_text: Option<String>,
    /// Duration of the computation in milliseconds.
    pub latency_ms: Option<i64>,
}

impl ResultRecord {
    /// The id of the reference: SHA-256 of `run|item|evaluator`, in lower-case hexadecimal.
    pub fn id(&self, run: RunId) -> String {
        let key = format!("{run}|{}|{}", self.item_id, self.evaluator_name);
        Sha256::digest(key).iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// A stored result.
#[derive(Debug, Clone)]
pub struct StoredResult {
    /// The result.
    pub record: ResultRecord,
    /// The attempt that wrote it.
    pub attempt: u32,
    /// When it was stored.
    pub created_at: DateTime<Utc>,
}

/// The kind of program that computes a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EvaluatorType {
    /// This program.
    Builtin,
    /// A program that speaks the evaluator protocol.
    Code,
    /// A downloaded program; the reference's name, which this program never writes.
    Remote,
}

impl EvaluatorType {
    /// The names in answers and in SQL.
    pub const NAMES: [(&'static str, Self); 3] =
        [("builtin", Self::Builtin), ("code", Self::Code), ("remote", Self::Remote)];
}

/// How a result compares with its threshold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResultStatus {
    /// At or above the threshold.
    Passed,
    /// Below the threshold.
    Failed,
    /// Could not be computed.
    Errored,
    /// Not evaluated, or a metric without threshold, whose score is only reported.
    Skipped,
}

impl ResultStatus {
    /// The names in answers and in SQL.
    pub const NAMES: [(&'static str, Self); 4] = [
        ("passed", Self::Passed),
        ("failed", Self::Failed),
        ("errored", Self::Errored),
        ("skipped", Self::Skipped),
    ];
}

/// Number of results of each status.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names say it")]
pub struct ResultCounts {
    pub passed: u32,
    pub failed: u32,
    pub errored: u32,
    pub skipped: u32,
}

/// Counts and mean score of one metric over a run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct MetricSummary {
    /// Results by status.
    #[serde(flatten)]
    pub counts: ResultCounts,
    /// Mean of the scores; `None` if there are none.
    pub avg_score: Option<f64>,
}

/// Counts and averages of a run; members are named as in the reference.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Number of evaluation units.
    pub trace_count: u32,
    /// Results by status.
    pub result_counts: ResultCounts,
    /// By evaluator name.
    pub per_metric: BTreeMap<String, MetricSummary>,
    /// Service name, else agent name, of each unit; sorted, each once.
    pub agents: Vec<String>,
    /// Inputs, or parts of inputs, that could not be read.
    pub errors: Vec<String>,
    /// Losses while reading the input that belong to no unit.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// Eval cases that no unit was compared with.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unmatched_eval_cases: Vec<String>,
    /// Latency, tokens and counts over all units.
    pub performance_metrics: Option<serde_json::Value>,
}
