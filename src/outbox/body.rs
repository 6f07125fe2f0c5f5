//! Bodies of messages: `{phase, run_id, attempt}` and, by phase, `results`, `summary` or `error`.
//!
//! The members are those of the reference's webhooks and a few more. A body is stored once for all sinks of a run;
//! sinks other than webhooks derive their lines from it.

use anyhow::Context;
use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;
use serde_json::value::RawValue;

use super::message::{NewMessage, Phase};
use crate::ids::RunId;
use crate::names::name_of;
use crate::runs::{Ending, EvaluatorType, Failure, ResultRecord, ResultStatus, Summary, Verdict};

/// Code and text of the error in messages about a cancelled run, which has no failure of its own.
pub const CANCELLED: (&str, &str) = ("cancelled", "the run was cancelled");

/// The body of a message.
#[derive(Serialize)]
struct Body<'a> {
    phase: &'static str,
    run_id: RunId,
    attempt: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    results: Option<Vec<MessageResult<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    summary: Option<&'a Summary>,
    #[serde(skip_serializing_if = "Option::is_none")]
    verdict: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'a str>,
}

impl<'a> Body<'a> {
    fn new(phase: Phase, run_id: RunId, attempt: u32) -> Self {
        let phase = name_of(&Phase::NAMES, &phase);
        let (results, summary, verdict, error, code) = (None, None, None, None, None);
        Self { phase, run_id, attempt, results, summary, verdict, error, code }
    }

    fn of_ending(ending: &'a Ending, run: RunId, attempt: u32) -> (Phase, Self) {
        let error = |code, error| Self {
            code: Some(code),
            error: Some(error),
            ..Self::new(Phase::Error, run, attempt)
        };
        match ending {
            Ending::Succeeded { verdict, summary } => {
                let (verdict, summary) = (Some(name_of(&Verdict::NAMES, verdict)), Some(&**summary));
                (Phase::Final, Self { verdict, summary, ..Self::new(Phase::Final, run, attempt) })
            }
            Ending::Failed(Failure { code, message }) => (Phase::Error, error(code, message)),
            Ending::Cancelled => (Phase::Error, error(CANCELLED.0, CANCELLED.1)),
        }
    }

    fn to_text(&self) -> anyhow::Result<String> {
        serde_json::to_string(self).context("writing a message to a sink")
    }
}

/// A result in a message, with the members of a result of the API; a test compares the two.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MessageResult<'a> {
    result_id: String,
    run_id: RunId,
    eval_set_item_id: &'a str,
    eval_set_item_name: &'a str,
    eval_case_id: Option<&'a str>,
    evaluator_name: &'a str,
    evaluator_type: EvaluatorType,
    status: ResultStatus,
    score: Option<f64>,
    per_invocation_scores: &'a [Option<f64>],
    trace_id: Option<&'a str>,
    span_id: Option<&'a str>,
    details: Option<&'a RawValue>,
    error_text: Option<&'a str>,
    /// Always null; kept for receivers of the reference's webhooks.
    tokens_used: Option<u64>,
    latency_ms: Option<i64>,
    attempt: u32,
    created_at: String,
}

impl<'a> MessageResult<'a> {
    /// A result of an attempt, written at the time `at`.
    pub(crate) fn new(run: RunId, attempt: u32, result: &'a ResultRecord, at: DateTime<Utc>) -> Self {
        Self {
            result_id: result.id(run),
            run_id: run,
            eval_set_item_id: &result.item_id,
            eval_set_item_name: &result.item_name,
            eval_case_id: result.eval_case_id.as_deref(),
            evaluator_name: &result.evaluator_name,
            evaluator_type: result.evaluator_type,
            status: result.status,
            score: result.score,
            per_invocation_scores: &result.per_invocation_scores,
            trace_id: result.trace_id.as_deref(),
            span_id: result.span_id.as_deref(),
            details: result.details.as_deref(),
            error_text: result.error_text.as_deref(),
            tokens_used: None,
            latency_ms: result.latency_ms,
            attempt,
            // To the microsecond, as storage keeps times.
            created_at: at.to_rfc3339_opts(SecondsFormat::Micros, true),
        }
    }
}

impl NewMessage {
    /// The message about new results of a run that goes on; `number` is that of the last result's event.
    ///
    /// # Errors
    /// A result cannot be written as JSON.
    pub(crate) fn of_results(
        number: u32,
        run: RunId,
        attempt: u32,
        results: &[ResultRecord],
        at: DateTime<Utc>,
    ) -> anyhow::Result<Self> {
        let results = results.iter().map(|result| MessageResult::new(run, attempt, result, at)).collect();
        let body = Body { results: Some(results), ..Body::new(Phase::Partial, run, attempt) };
        Ok(Self { number, phase: Phase::Partial, body: body.to_text()? })
    }

    /// The message about the end of a run; `number` is that of the end's event.
    ///
    /// # Errors
    /// The summary cannot be written as JSON.
    pub(crate) fn of_ending(number: u32, run: RunId, attempt: u32, ending: &Ending) -> anyhow::Result<Self> {
        let (phase, body) = Body::of_ending(ending, run, attempt);
        Ok(Self { number, phase, body: body.to_text()? })
    }
}
