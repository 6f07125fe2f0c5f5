//! The body of a submission: described by the types here, read by [`runs::submission`](crate::runs::submission),
//! which takes both spellings, keeps the text as written, and locates every fault.

use std::collections::BTreeMap;

use poem::{Request, RequestBody, http::StatusCode};
use poem_openapi::registry::{MetaMediaType, MetaRequest, Registry};
use poem_openapi::types::Type;
use poem_openapi::{ApiExtractor, ApiExtractorType, Enum, ExtractParamOptions, Object, Union};
use serde_json::{Value, json};
use uuid::Uuid;

use super::problem::{Fault, Problem};
use crate::json::SyntaxError;
use crate::runs::submission::SubmissionError;

/// How many bytes a body may have.
#[derive(Debug, Clone, Copy)]
pub(super) struct BodyLimit(pub(super) usize);

/// The text of a submission.
#[derive(Debug)]
pub(super) struct SubmissionText(pub(super) String);

impl<'a> ApiExtractor<'a> for SubmissionText {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::RequestObject];

    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        Submission::register(registry);
    }

    fn request_meta() -> Option<MetaRequest> {
        let content = MetaMediaType { content_type: "application/json", schema: Submission::schema_ref() };
        Some(MetaRequest { description: None, content: vec![content], required: true })
    }

    async fn from_request(
        request: &'a Request,
        body: &mut RequestBody,
        _: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        check_media_type(request.content_type())?;
        let BodyLimit(limit) = *request.data().unwrap_or(&BodyLimit(usize::MAX));
        let declared = request.header("content-length").and_then(|length| length.parse::<usize>().ok());
        if declared.is_some_and(|length| length > limit) {
            return Err(too_large(limit).into());
        }
        // Counted too, since a chunked body declares nothing.
        let bytes = body.take()?.into_bytes_limit(limit).await.map_err(|error| match error {
            poem::error::ReadBodyError::PayloadTooLarge => too_large(limit),
            error => Problem::new(StatusCode::BAD_REQUEST, "unreadable_body", error.to_string()),
        })?;
        let text = String::from_utf8(bytes.into()).map_err(|error| {
            let at = error.utf8_error().valid_up_to();
            Problem::new(StatusCode::BAD_REQUEST, "malformed_json", format!("byte {at} is not UTF-8"))
        })?;
        Ok(Self(text))
    }
}

fn check_media_type(given: Option<&str>) -> Result<(), Problem> {
    let essence = given.and_then(|given| given.split(';').next()).unwrap_or_default().trim();
    let essence = essence.to_ascii_lowercase();
    let is_json =
        essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"));
    let detail = || match given {
        Some(given) => format!("the content type is `{given}`; expected application/json"),
        None => "the content type is missing; expected application/json".to_owned(),
    };
    let refusal = || Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail());
    is_json.then_some(()).ok_or_else(refusal)
}

fn too_large(limit: usize) -> Problem {
    let detail = format!("the body is larger than {limit} bytes");
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", detail)
}

impl From<SubmissionError> for Problem {
    fn from(error: SubmissionError) -> Self {
        match error {
            SubmissionError::Syntax(SyntaxError { reason, line, column, .. }) => {
                let detail = format!("the body is not JSON: {reason} at line {line} column {column}");
                Self::new(StatusCode::BAD_REQUEST, "malformed_json", detail)
            }
            SubmissionError::Invalid(problems) => {
                let faults = problems.into_iter().map(|problem| Fault {
                    pointer: Some(problem.pointer),
                    detail: problem.message,
                    ..Fault::default()
                });
                Self::invalid("invalid_submission", faults.collect())
            }
        }
    }
}

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
type Free = BTreeMap<String, Value>;

/// A run to be queued. Members may also be spelled in snake_case.
#[derive(Debug, Object)]
#[oai(rename = "RunSubmission", rename_all = "camelCase")]
struct Submission {
    /// The id it shall have; a new one if left out. Submitting the same work again under the same id is safe.
    run_id: Option<Uuid>,
    /// What to do.
    spec: Spec,
}

/// What a run does.
#[derive(Debug, Object)]
#[oai(rename = "RunSpec", rename_all = "camelCase")]
struct Spec {
    /// How the agent's behaviour is obtained.
    approach: Option<Approach>,
    /// Where the traces are.
    target: Target,
    /// The golden eval set to compare with, as an object in the format of ADK eval sets.
    #[oai(nullable)]
    eval_set: Option<Free>,
    /// What to compute; the trajectory metric if left out.
    eval_config: Option<EvalConfig>,
    /// Where else results are sent.
    sinks: Option<Vec<Free>>,
    /// Free; `headers` are sent when traces are fetched.
    context: Option<Free>,
    /// Names of credentials and where they come from: `{kind, …}`.
    #[oai(nullable)]
    credential_refs: Option<Free>,
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

/// A trace that is fetched from `{baseUrl}/{traceId}`.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
struct HttpTarget {
    /// Where traces are served.
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
enum TraceFormat {
    /// OpenTelemetry.
    OtlpJson,
    /// Jaeger.
    JaegerJson,
}

/// What to compute.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
struct EvalConfig {
    /// The evaluators, each name once.
    #[oai(validator(min_items = 1))]
    evaluators: Option<Vec<Evaluator>>,
    /// What is evaluated together.
    group_by: Option<GroupBy>,
    /// How many custom evaluators run at the same time.
    #[oai(validator(minimum(value = "1"), maximum(value = "256")))]
    max_concurrent_evals: Option<u32>,
}

/// What is evaluated together.
#[derive(Debug, Enum)]
#[oai(rename_all = "snake_case")]
enum GroupBy {
    /// Traces of one conversation, where they name one.
    Auto,
    /// Every trace on its own.
    Trace,
    /// Traces of one conversation.
    Conversation,
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
    #[oai(validator(minimum(value = "0"), maximum(value = "1")))]
    threshold: Option<f64>,
    /// Trajectory metric: how the order of calls is compared.
    trajectory_match_type: Option<String>,
    /// Trajectory metric: how arguments are compared.
    trajectory_args: Option<String>,
    /// Trajectory metric: how single arguments are compared, by path.
    trajectory_paths: Option<Free>,
    /// Trajectory metric: how the arguments of single tools are compared, by name.
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
    #[oai(validator(minimum(value = "0"), maximum(value = "1")))]
    threshold: Option<f64>,
    /// Seconds after which it is killed.
    #[oai(validator(minimum(value = "1"), maximum(value = "86400")))]
    timeout: Option<u32>,
    /// Passed to it as it is.
    config: Option<Free>,
    /// Names of the environment variables it may see besides the harmless ones.
    env: Option<Vec<String>>,
}
