//! A result as it is told to others: in answers of the API and in messages to sinks alike.

use poem_openapi::Object;
use serde::Serialize;
use uuid::Uuid;

use super::model::{EvaluatorType, ResultStatus, StoredResult};
use crate::ids::RunId;
use crate::wire::{Named, Nullable, RawObject, Time, vocabulary};

vocabulary!(ResultStatus, "ResultStatus", "What the score of one metric on one evaluation unit was worth.");
vocabulary!(EvaluatorType, "EvaluatorType", "What computes a metric.");

/// What came out for one metric on one evaluation unit.
#[derive(Debug, PartialEq, Serialize, Object)]
#[serde(rename_all = "camelCase")]
#[oai(rename = "Result", rename_all = "camelCase")]
pub(crate) struct ResultObject {
    /// Stable over attempts: SHA-256 of run, unit and evaluator.
    result_id: String,
    /// The run.
    run_id: Uuid,
    /// What the unit's traces were grouped by.
    eval_set_item_id: String,
    /// Name of the unit, for people.
    eval_set_item_name: String,
    /// The eval case compared with; the same over all runs of the same golden.
    eval_case_id: Nullable<String>,
    /// Which metric.
    evaluator_name: String,
    /// What computes it.
    evaluator_type: Named<EvaluatorType>,
    /// What the score was worth.
    status: Named<ResultStatus>,
    /// Overall score.
    score: Nullable<f64>,
    /// One score per turn; null where a turn has none.
    per_invocation_scores: Vec<Nullable<f64>>,
    /// The unit's earliest trace.
    trace_id: Nullable<String>,
    /// The turn's span, when the unit has exactly one turn.
    span_id: Nullable<String>,
    /// What stands behind the score; user JSON in it is as the user wrote it.
    details: Nullable<RawObject>,
    /// Why it could not be computed.
    error_text: Nullable<String>,
    /// Always null; kept for clients of the reference.
    tokens_used: Nullable<u64>,
    /// How long it took, in milliseconds.
    latency_ms: Nullable<i64>,
    /// The attempt that wrote it.
    attempt: u32,
    /// When it was stored.
    created_at: Time,
}

impl ResultObject {
    /// A stored result of a run.
    pub(crate) fn new(run: RunId, StoredResult { record, attempt, created_at }: StoredResult) -> Self {
        Self {
            result_id: record.id(run),
            run_id: run.0,
            eval_set_item_id: record.item_id,
            eval_set_item_name: record.item_name,
            eval_case_id: Nullable(record.eval_case_id),
            evaluator_name: record.evaluator_name,
            evaluator_type: record.evaluator_type.into(),
            status: record.status.into(),
            score: Nullable(record.score),
            per_invocation_scores: record.per_invocation_scores.into_iter().map(Nullable).collect(),
            trace_id: Nullable(record.trace_id),
            span_id: Nullable(record.span_id),
            details: Nullable(record.details.map(RawObject)),
            error_text: Nullable(record.error_text),
            tokens_used: Nullable(None),
            latency_ms: Nullable(record.latency_ms),
            attempt,
            created_at: created_at.into(),
        }
    }
}
