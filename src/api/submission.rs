//! What a submission looks like, for the document only: it is read by
//! [`Submission`](crate::spec::Submission), which takes both spellings and keeps the text as written.

use std::collections::BTreeMap;

use poem_openapi::{Enum, Object, Union};
use serde_json::{Value, json};
use uuid::Uuid;

use super::answer::Named;
use super::credentials::{CredentialRefs, Headers};
use super::sinks::Sink;
use crate::evaluation::GroupBy;
use crate::metrics::trajectory::{ArgsMode, MatchType};

/// A submission that works as it stands, for the document.
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

/// JSON whose members are not described here.
pub(super) type Free = BTreeMap<String, Value>;

/// A run to be queued. Members may also be spelled in snake_case.
#[derive(Debug, Object)]
#[oai(rename = "RunSubmission", rename_all = "camelCase")]
pub(super) struct SubmissionRequest {
    /// The id it shall have; a new one if left out. Submitting the same work again under the same id is safe.
    #[oai(nullable)]
    run_id: Option<Uuid>,
    /// What to do.
    spec: Spec,
    /// What to call it, to find it again.
    #[oai(nullable, validator(max_properties = 32))]
    labels: Option<BTreeMap<String, String>>,
    /// Higher ones are taken up first; 0 if left out.
    #[oai(nullable, validator(minimum(value = "-100"), maximum(value = "100")))]
    priority: Option<i16>,
    /// How many seconds one attempt may take; the service has a default and a limit.
    #[oai(nullable, validator(minimum(value = "1")))]
    deadline_s: Option<u64>,
    /// How often a worker may take it up before a lost worker or a passing failure ends it; the service has a default
    /// and a limit.
    #[oai(nullable, validator(minimum(value = "1")))]
    max_attempts: Option<u32>,
}

/// What a run does.
#[derive(Debug, Object)]
#[oai(rename = "RunSpec", rename_all = "camelCase")]
struct Spec {
    /// How the agent's behaviour is obtained.
    #[oai(nullable)]
    approach: Option<Approach>,
    /// Where the traces are.
    target: Target,
    /// The golden eval set to compare with, as an object in the format of ADK eval sets.
    #[oai(nullable)]
    eval_set: Option<Free>,
    /// What to compute; the trajectory metric if left out.
    #[oai(nullable)]
    eval_config: Option<EvalConfig>,
    /// Where else results are sent: what comes out on the way, and the end. To each in the order in which it came, at
    /// least once; see `list_deliveries`.
    #[oai(nullable, validator(max_items = 10))]
    sinks: Option<Vec<Sink>>,
    /// What goes along when the trace is fetched.
    #[oai(nullable)]
    context: Option<Context>,
    /// Credentials by name; which ones may be referred to is up to the operator.
    #[oai(nullable, validator(max_properties = 64))]
    credential_refs: Option<CredentialRefs>,
}

/// What goes along when the trace is fetched. Other members are kept with the run and mean nothing.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
struct Context {
    /// Sent with the request for the trace.
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

/// Where the traces are.
#[derive(Debug, Union)]
#[oai(discriminator_name = "kind", one_of = true)]
enum Target {
    /// In the submission.
    #[oai(mapping = "inline")]
    Inline(InlineTarget),
    /// Behind a URL.
    #[oai(mapping = "http")]
    Http(HttpTarget),
}

/// Traces in the submission itself.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
struct InlineTarget {
    /// An OTLP or Jaeger JSON document.
    inline: Free,
    /// The format; found out if left out.
    #[oai(nullable)]
    trace_format: Option<TraceFormat>,
}

/// A trace that the worker fetches with GET, as from Jaeger or Tempo, or from anything that answers trace JSON.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
struct HttpTarget {
    /// Where traces are served: the id is put behind its path, or in the place of `{traceId}`. It leads to a public
    /// address, or to one that the operator allows.
    base_url: String,
    /// The trace: 16 or 32 hexadecimal digits.
    #[oai(validator(pattern = "^([0-9a-fA-F]{16}|[0-9a-fA-F]{32})$"))]
    trace_id: String,
    /// The format; found out if left out.
    #[oai(nullable)]
    trace_format: Option<TraceFormat>,
}

/// A format of traces.
#[derive(Debug, Enum)]
#[oai(rename_all = "kebab-case")]
pub(super) enum TraceFormat {
    /// OpenTelemetry.
    OtlpJson,
    /// Jaeger.
    JaegerJson,
}

/// What to compute.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
pub(super) struct EvalConfig {
    /// The evaluators, each name once.
    #[oai(nullable, validator(min_items = 1))]
    evaluators: Option<Vec<Evaluator>>,
    /// What is evaluated together; `auto` if left out.
    #[oai(nullable)]
    group_by: Option<Named<GroupBy>>,
    /// How many custom evaluators run at the same time.
    #[oai(nullable, validator(minimum(value = "1"), maximum(value = "256")))]
    max_concurrent_evals: Option<u32>,
    /// Accepted for clients of the reference; traces are evaluated on all cores.
    #[oai(nullable, validator(minimum(value = "1"), maximum(value = "256")))]
    max_concurrent_traces: Option<u32>,
    /// Score like the reference, where the default is stricter.
    #[oai(nullable)]
    lenient: Option<bool>,
}

/// Something that scores.
#[derive(Debug, Union)]
#[oai(discriminator_name = "type", one_of = true)]
enum Evaluator {
    /// A metric of this program.
    #[oai(mapping = "builtin")]
    Builtin(BuiltinEvaluator),
    /// A program that speaks the evaluator protocol; refused unless the service allows it.
    #[oai(mapping = "code")]
    Code(CodeEvaluator),
}

/// A metric of this program.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
struct BuiltinEvaluator {
    /// Which metric.
    name: String,
    /// Score from which it passes; 0.5 if left out.
    #[oai(nullable, validator(minimum(value = "0"), maximum(value = "1")))]
    threshold: Option<f64>,
    /// Trajectory metric: how the order of calls is compared.
    #[oai(nullable)]
    trajectory_match_type: Option<Named<MatchType>>,
    /// Trajectory metric: how arguments are compared.
    #[oai(nullable)]
    trajectory_args: Option<Named<ArgsMode>>,
    /// Trajectory metric: how single arguments are compared, by path.
    #[oai(nullable)]
    trajectory_paths: Option<Free>,
    /// Trajectory metric: how the arguments of single tools are compared, by name.
    #[oai(nullable)]
    trajectory_tools: Option<Free>,
}

/// A program that speaks the evaluator protocol.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
struct CodeEvaluator {
    /// What it is called; once per configuration.
    name: String,
    /// The file: .py, .js or .ts.
    path: String,
    /// Score from which it passes; 0.5 if left out.
    #[oai(nullable, validator(minimum(value = "0"), maximum(value = "1")))]
    threshold: Option<f64>,
    /// Seconds after which it is killed.
    #[oai(nullable, validator(minimum(value = "1"), maximum(value = "86400")))]
    timeout: Option<u32>,
    /// Passed to it as it is.
    #[oai(nullable)]
    config: Option<Free>,
    /// Names of the environment variables it may see besides the harmless ones.
    #[oai(nullable)]
    env: Option<Vec<String>>,
}
