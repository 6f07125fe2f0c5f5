//! Results in answers.

use poem_openapi::Object;
use serde::Serialize;
use uuid::Uuid;

use super::member::{Named, Nullable, RawObject, Time};
use crate::ids::RunId;
use crate::runs::{EvaluatorType, ResultStatus, StoredResult};

/// The result of one evaluator for one evaluation unit.
#[derive(Debug, PartialEq, Serialize, Object)]
#[serde(rename_all = "camelCase")]
#[oai(rename = "Result", rename_all = "camelCase")]
pub(in crate::api) struct ResultAnswer {
    /// Id of the result, stable over attempts: SHA-256 of run, unit and evaluator.
    result_id: String,
    /// Id of the run.
    run_id: Uuid,
    /// Key by which the traces of the unit were grouped.
    eval_set_item_id: String,
    /// Name of the unit, for people.
    eval_set_item_name: String,
    /// Id of the eval case compared with, the same in all runs with the same eval set.
    eval_case_id: Nullable<String>,
    /// Name of the evaluator.
    evaluator_name: String,
    /// Type of the evaluator.
    evaluator_type: Named<EvaluatorType>,
    /// Whether the score passed.
    status: Named<ResultStatus>,
    /// Overall score.
    score: Nullable<f64>,
    /// One score per turn; null for a turn without a score.
    per_invocation_scores: Vec<Nullable<f64>>,
    /// Id of the unit's earliest trace.
    trace_id: Nullable<String>,
    /// Id of the turn's span, if the unit has exactly one turn.
    span_id: Nullable<String>,
    /// Details behind the score; names and values from traces stay as recorded.
    details: Nullable<RawObject>,
    /// Why the score could not be computed.
    error_text: Nullable<String>,
    /// Always null; kept for clients of the reference implementation.
    tokens_used: Nullable<u64>,
    /// Duration of the computation, in milliseconds.
    latency_ms: Nullable<i64>,
    /// Number of the attempt that computed the result.
    attempt: u32,
    /// When the result was stored.
    created_at: Time,
}

impl ResultAnswer {
    /// A stored result of a run.
    pub(in crate::api) fn new(
        run: RunId,
        StoredResult { record, attempt, created_at }: StoredResult,
    ) -> Self {
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

/// A page of the results of a run.
#[derive(Debug, Serialize, Object)]
pub(in crate::api) struct ResultPage {
    /// Results, by unit, then by evaluator.
    pub(in crate::api) data: Vec<ResultAnswer>,
    /// The `cursor` of the next page; null on the last one.
    pub(in crate::api) next: Nullable<String>,
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Utc};
    use serde_json::value::RawValue;
    use uuid::Uuid;

    use super::*;
    use crate::outbox::MessageResult;
    use crate::runs::ResultRecord;

    fn record() -> ResultRecord {
        ResultRecord {
            ordinal: 3,
            item_id: "item".to_owned(),
            item_name: "the item".to_owned(),
            eval_case_id: Some("case".to_owned()),
            evaluator_name: "response_match_score".to_owned(),
            evaluator_type: EvaluatorType::Code,
            status: ResultStatus::Errored,
            score: Some(0.1),
            per_invocation_scores: vec![Some(0.25), None, Some(1.0)],
            trace_id: Some("0af7651916cd43dd8448eb211c80319c".to_owned()),
            span_id: Some("b7ad6b7169203331".to_owned()),
            details: Some(RawValue::from_string(r#"{"n": 1.50, "t":"\ud83d"}"#.to_owned()).unwrap()),
            error_text: Some("why".to_owned()),
            latency_ms: Some(12),
        }
    }

    fn empty() -> ResultRecord {
        ResultRecord {
            eval_case_id: None,
            score: None,
            per_invocation_scores: Vec::new(),
            trace_id: None,
            span_id: None,
            details: None,
            error_text: None,
            latency_ms: None,
            ..record()
        }
    }

    #[test]
    fn a_message_tells_a_result_as_the_api_does() {
        let (run, attempt) = (RunId(Uuid::from_u128(7)), 2);
        let at: DateTime<Utc> = "2026-11-28T12:00:00.123456789Z".parse().unwrap();
        for record in [record(), empty()] {
            let body = serde_json::to_string(&MessageResult::new(run, attempt, &record, at)).unwrap();
            let stored = StoredResult { record, attempt, created_at: at };
            assert_eq!(body, serde_json::to_string(&ResultAnswer::new(run, stored)).unwrap());
        }
    }
}
