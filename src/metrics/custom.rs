//! The port to evaluators outside this program, and their protocol (version 1.1): one JSON document in, one out.

use std::future::Future;
use std::pin::Pin;

use serde::Serialize;

use super::{EvalStatus, MetricResult};
use crate::extraction::performance::Performance;
use crate::invocation::{ExpectedInvocation, Invocation, ToolCall};
use crate::json::Value;

/// Version of the input document.
const PROTOCOL_VERSION: &str = "1.1";

/// An evaluator outside this program. Dropping the future ends the evaluation and the processes it started.
pub trait CustomEvaluator: Send + Sync {
    /// Evaluates one conversation.
    fn evaluate<'a>(
        &'a self,
        input: &'a EvaluatorInput<'a>,
    ) -> Pin<Box<dyn Future<Output = Result<EvaluatorOutput, EvaluatorError>> + Send + 'a>>;
}

/// Why an evaluator gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum EvaluatorError {
    /// It could not be started.
    #[error("{0}")]
    Unavailable(String),
    /// It did not finish in time and was killed.
    #[error("{0}")]
    TimedOut(String),
    /// It ended with an error.
    #[error("{0}")]
    Failed(String),
    /// Its answer does not follow the protocol.
    #[error("{0}")]
    InvalidOutput(String),
}

impl EvaluatorError {
    /// Stable name of the kind.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Unavailable(_) => "EvaluatorUnavailable",
            Self::TimedOut(_) => "EvaluatorTimeout",
            Self::Failed(_) => "EvaluatorFailed",
            Self::InvalidOutput(_) => "EvaluatorInvalidOutput",
        }
    }
}

/// The input document of an evaluator. Every member is always written.
#[derive(Debug, Serialize)]
pub struct EvaluatorInput<'a> {
    protocol_version: &'static str,
    metric_name: &'a str,
    threshold: f64,
    config: &'a Value<'static>,
    invocations: Vec<ProtocolInvocation<'a>>,
    expected_invocations: Option<Vec<ProtocolInvocation<'a>>>,
}

#[derive(Debug, Serialize)]
struct ProtocolInvocation<'a> {
    invocation_id: String,
    user_content: String,
    final_response: Option<String>,
    intermediate_steps: IntermediateSteps,
    /// The numbers of the whole unit, repeated on every observed turn, as in the reference.
    performance_metrics: Option<&'a Performance>,
    trace_id: Option<String>,
    span_id: Option<String>,
}

#[derive(Debug, Serialize)]
struct IntermediateSteps {
    tool_calls: Vec<ProtocolCall>,
    tool_responses: Vec<ProtocolResponse>,
}

#[derive(Debug, Serialize)]
struct ProtocolCall {
    name: String,
    args: Value<'static>,
    id: Option<String>,
}

#[derive(Debug, Serialize)]
struct ProtocolResponse {
    name: String,
    output: String,
    status: Option<&'static str>,
    id: Option<String>,
    response: Value<'static>,
}

/// The answer of an evaluator.
#[derive(Debug)]
pub struct EvaluatorOutput {
    /// In 0..=1.
    pub score: f64,
    /// Its own judgement; `None` leaves that to the threshold.
    pub status: Option<EvalStatus>,
    /// Scores per turn, unchanged.
    pub per_invocation_scores: Vec<Option<f64>>,
    /// Details, unchanged.
    pub details: Option<Value<'static>>,
}

impl<'a> EvaluatorInput<'a> {
    /// Describes a conversation and, if a case was matched, all its expected turns.
    pub fn new(
        metric_name: &'a str,
        threshold: f64,
        config: &'a Value<'static>,
        invocations: &[Invocation],
        performance: &'a Performance,
        expected: Option<&[ExpectedInvocation]>,
    ) -> Self {
        let observed = |turn: &Invocation| ProtocolInvocation {
            invocation_id: turn.span_id.clone(),
            user_content: turn.user_text.clone().unwrap_or_default(),
            final_response: turn.response_text.clone(),
            intermediate_steps: IntermediateSteps::of(&turn.tool_calls),
            performance_metrics: Some(performance),
            trace_id: Some(turn.trace_id.clone()),
            span_id: Some(turn.span_id.clone()),
        };
        let wanted = |turn: &ExpectedInvocation| ProtocolInvocation {
            invocation_id: turn.invocation_id.clone(),
            user_content: turn.user_text(),
            final_response: turn.response_text(),
            intermediate_steps: IntermediateSteps::of(&turn.tool_calls),
            performance_metrics: None,
            trace_id: None,
            span_id: None,
        };
        Self {
            protocol_version: PROTOCOL_VERSION,
            metric_name,
            threshold,
            config,
            invocations: invocations.iter().map(observed).collect(),
            expected_invocations: expected.map(|turns| turns.iter().map(wanted).collect()),
        }
    }
}

impl IntermediateSteps {
    fn of(calls: &[ToolCall]) -> Self {
        let call = |call: &ToolCall| ProtocolCall {
            name: call.name.clone(),
            args: match call.args.value() {
                Value::Null => Value::Map(crate::json::Map::default()),
                args => args.clone(),
            },
            id: call.id.clone(),
        };
        let answered = calls.iter().filter(|call| call.result.is_some() || call.failed);
        let response = |call: &ToolCall| {
            let response = call.result.clone().unwrap_or_default();
            ProtocolResponse {
                name: call.name.clone(),
                output: match &response {
                    Value::Null => String::new(),
                    Value::Str(text) => text.to_string(),
                    other => other.to_json_text(),
                },
                status: call.failed.then_some("error"),
                id: call.id.clone(),
                response,
            }
        };
        Self {
            tool_calls: calls.iter().map(call).collect(),
            tool_responses: answered.map(response).collect(),
        }
    }
}

/// Turns an evaluator's answer, or its failure, into a result.
pub fn into_result(
    name: &str,
    threshold: f64,
    answer: Result<EvaluatorOutput, EvaluatorError>,
) -> MetricResult {
    match answer {
        Err(error) => MetricResult::failed(name, error.kind(), error.to_string()),
        Ok(output) => {
            let scores = output.per_invocation_scores;
            let mut result =
                MetricResult::scored(name, Some(output.score), scores, threshold, output.details);
            result.eval_status = output.status.unwrap_or(result.eval_status);
            result
        }
    }
}
