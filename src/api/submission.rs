//! The schema of a submission, for the OpenAPI document only: [`Submission`](crate::spec::Submission) parses it, in
//! both spellings, and keeps the text as written.

use std::collections::BTreeMap;

use poem_openapi::{Enum, Object, Union};
use serde_json::{Value, json};
use uuid::Uuid;

use super::answer::Named;
use super::credentials::{CredentialRefs, Headers};
use super::sinks::Sink;
use crate::evaluation::GroupBy;
use crate::metrics::trajectory::{ArgsMode, MatchType};

/// A complete submission that succeeds, for the OpenAPI document.
pub(super) fn example() -> Value {
    let part = |text: &str| json!({"parts": [{"text": text}]});
    let message = |role: &str, text: &str| {
        let message = json!([{"role": role, "parts": [{"type": "text", "content": text}]}]);
        json!({"stringValue": message.to_string()})
    };
    let span = json!({
        "traceId": "0af7651916cd43dd8448eb211c80319c",
        "spanId": "b7ad6b7169203331",
        "name": "chat",
        "startTimeUnixNano": "1764000000000000000",
        "endTimeUnixNano": "1764000001000000000",
        "attributes": [
            {"key": "gen_ai.operation.name", "value": {"stringValue": "chat"}},
            {"key": "gen_ai.input.messages", "value": message("user", "How warm is it in Oslo?")},
            {"key": "gen_ai.output.messages", "value": message("assistant", "It is 3 degrees in Oslo.")},
        ],
    });
    let turn = json!({
        "user_content": part("How warm is it in Oslo?"),
        "final_response": part("It is 3 degrees in Oslo."),
    });
    json!({
        "runId": "6f9619ff-8b86-4011-b42d-00c04fc964ff",
        "spec": {
            "approach": "trace_replay",
            "target": {"kind": "inline", "inline": {"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}},
            "evalSet": {
                "eval_set_id": "weather",
                "eval_cases": [{"eval_id": "oslo", "conversation": [turn]}],
            },
            "evalConfig": {"evaluators": [{"name": "response_match_score", "type": "builtin", "threshold": 0.8}]},
        },
    })
}

/// A JSON object without a schema.
pub(super) type Free = BTreeMap<String, Value>;

/// A run to queue. Members may also be spelled in snake_case.
#[derive(Debug, Object)]
#[oai(rename = "RunSubmission", rename_all = "camelCase")]
pub(super) struct SubmissionRequest {
    /// Id for the run; a new one if left out. Repeating a submission under the same id is safe.
    #[oai(nullable)]
    run_id: Option<Uuid>,
    /// Traces, eval set and evaluators.
    spec: Spec,
    /// Labels to find the run by.
    #[oai(nullable, validator(max_properties = 32))]
    labels: Option<BTreeMap<String, String>>,
    /// Priority: runs with a higher one start first; 0 if left out.
    #[oai(nullable, validator(minimum(value = "-100"), maximum(value = "100")))]
    priority: Option<i16>,
    /// Longest duration of one attempt, in seconds; the service has a default and a limit.
    #[oai(nullable, validator(minimum(value = "1")))]
    deadline_s: Option<u64>,
    /// Attempts after which a lost worker or a transient failure fails the run; the service has a default and a limit.
    #[oai(nullable, validator(minimum(value = "1")))]
    max_attempts: Option<u32>,
}

/// The specification of a run: traces, eval set, evaluators and sinks.
#[derive(Debug, Object)]
#[oai(rename = "RunSpec", rename_all = "camelCase")]
struct Spec {
    /// How the agent's behaviour is obtained.
    #[oai(nullable)]
    approach: Option<Approach>,
    /// The traces.
    target: Target,
    /// The golden eval set to compare with, as an object in the format of ADK eval sets.
    #[oai(nullable)]
    eval_set: Option<Free>,
    /// Evaluators and options; the trajectory metric alone if left out.
    #[oai(nullable)]
    eval_config: Option<EvalConfig>,
    /// Destinations for results as they are computed, and for the end of the run. Each sink gets its messages in order and
    /// at least once; `list_deliveries` shows their state.
    #[oai(nullable, validator(max_items = 10))]
    sinks: Option<Vec<Sink>>,
    /// Headers for fetching the trace.
    #[oai(nullable)]
    context: Option<Context>,
    /// Credentials by name; only those that the operator allows.
    #[oai(nullable, validator(max_properties = 64))]
    credential_refs: Option<CredentialRefs>,
}

/// Headers for fetching the trace. Other members are stored with the run and have no effect.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
struct Context {
    /// Headers of the request for the trace, by name.
    #[oai(nullable, validator(max_properties = 64))]
    headers: Option<Headers>,
}

/// How the agent's behaviour is obtained.
#[derive(Debug, Enum)]
#[oai(rename_all = "snake_case")]
enum Approach {
    /// From traces that already exist.
    TraceReplay,
}

/// The traces of a run.
#[derive(Debug, Union)]
#[oai(discriminator_name = "kind", one_of = true)]
enum Target {
    /// Traces in the submission itself.
    #[oai(mapping = "inline")]
    Inline(InlineTarget),
    /// A trace behind a URL.
    #[oai(mapping = "http")]
    Http(HttpTarget),
}

/// Traces in the submission itself.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
struct InlineTarget {
    /// An OTLP or Jaeger JSON document.
    inline: Free,
    /// Format of the traces; detected if left out.
    #[oai(nullable)]
    trace_format: Option<TraceFormat>,
}

/// A trace that the worker fetches with GET from Jaeger, Tempo, or any server that answers with trace JSON.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
struct HttpTarget {
    /// URL of the traces, to which the trace id is appended, or in which it replaces `{traceId}`. The address must be
    /// public unless the operator allows it.
    base_url: String,
    /// Id of the trace: 16 or 32 hexadecimal digits.
    #[oai(validator(pattern = "^([0-9a-fA-F]{16}|[0-9a-fA-F]{32})$"))]
    trace_id: String,
    /// Format of the traces; detected if left out.
    #[oai(nullable)]
    trace_format: Option<TraceFormat>,
}

/// A format of traces.
#[derive(Debug, Enum)]
#[oai(rename_all = "kebab-case")]
pub(super) enum TraceFormat {
    /// OTLP JSON, the format of OpenTelemetry.
    OtlpJson,
    /// JSON of Jaeger's API.
    JaegerJson,
}

/// Evaluators and options.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
pub(super) struct EvalConfig {
    /// The evaluators; their names must be unique.
    #[oai(nullable, validator(min_items = 1))]
    evaluators: Option<Vec<Evaluator>>,
    /// Which traces are evaluated together; `auto` if left out.
    #[oai(nullable)]
    group_by: Option<Named<GroupBy>>,
    /// Most custom evaluators that run at the same time.
    #[oai(nullable, validator(minimum(value = "1"), maximum(value = "256")))]
    max_concurrent_evals: Option<u32>,
    /// Accepted for clients of the reference implementation, without effect: traces are evaluated on all cores.
    #[oai(nullable, validator(minimum(value = "1"), maximum(value = "256")))]
    max_concurrent_traces: Option<u32>,
    /// Score like the reference implementation, which is less strict than the default.
    #[oai(nullable)]
    lenient: Option<bool>,
}

/// A built-in metric, or a program that scores.
#[derive(Debug, Union)]
#[oai(discriminator_name = "type", one_of = true)]
enum Evaluator {
    /// A built-in metric.
    #[oai(mapping = "builtin")]
    Builtin(BuiltinEvaluator),
    /// A program that implements the evaluator protocol; refused unless the operator allows it.
    #[oai(mapping = "code")]
    Code(CodeEvaluator),
}

/// A built-in metric.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
struct BuiltinEvaluator {
    /// Name of the metric.
    name: String,
    /// Score from which the metric passes. If left out, 1 for `tool_trajectory_avg_score`, so that every turn has to
    /// match, and 0.5 for others.
    #[oai(nullable, validator(minimum(value = "0"), maximum(value = "1")))]
    threshold: Option<f64>,
    /// For the trajectory metric: how the order of calls is compared.
    #[oai(nullable)]
    trajectory_match_type: Option<Named<MatchType>>,
    /// For the trajectory metric: how arguments are compared.
    #[oai(nullable)]
    trajectory_args: Option<Named<ArgsMode>>,
    /// For the trajectory metric: how single arguments are compared, by path.
    #[oai(nullable)]
    trajectory_paths: Option<Free>,
    /// For the trajectory metric: how the arguments of single tools are compared, by name of the tool.
    #[oai(nullable)]
    trajectory_tools: Option<Free>,
}

/// A program that implements the evaluator protocol.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
struct CodeEvaluator {
    /// Name of the evaluator, unique in the configuration.
    name: String,
    /// Path of the program: a .py, .js or .ts file.
    path: String,
    /// Score from which the evaluator passes; 0.5 if left out.
    #[oai(nullable, validator(minimum(value = "0"), maximum(value = "1")))]
    threshold: Option<f64>,
    /// Seconds after which the program is killed.
    #[oai(nullable, validator(minimum(value = "1"), maximum(value = "86400")))]
    timeout: Option<u32>,
    /// Configuration that is passed to the program unchanged.
    #[oai(nullable)]
    config: Option<Free>,
    /// Environment variables that the program may read, besides harmless ones such as `PATH`.
    #[oai(nullable)]
    env: Option<Vec<String>>,
}
