//! What the service can do, as it is answered.

use poem_openapi::Object;
use serde::Serialize;

use super::member::Nullable;
use crate::metrics::catalog::Description;
use crate::uploads::ValidatedEvalSet;

/// A metric.
#[derive(Debug, Serialize, Object)]
#[serde(rename_all = "camelCase")]
#[oai(rename = "Metric", rename_all = "camelCase")]
struct MetricDescription {
    /// Its name.
    name: String,
    /// What it looks at.
    category: String,
    /// Whether it compares with a golden eval set.
    requires_eval_set: bool,
    /// Whether a judge model has to be asked.
    #[serde(rename = "requiresLLM")]
    #[oai(rename = "requiresLLM")]
    requires_llm: bool,
    /// Whether the Vertex evaluation service has to be asked.
    #[serde(rename = "requiresGCP")]
    #[oai(rename = "requiresGCP")]
    requires_gcp: bool,
    /// Whether it is told rubrics to judge by.
    requires_rubrics: bool,
    /// What it measures.
    description: String,
    /// Whether it can be computed here.
    working: bool,
}

impl From<&Description> for MetricDescription {
    fn from(metric: &Description) -> Self {
        Self {
            name: metric.name.to_owned(),
            category: metric.category.to_owned(),
            requires_eval_set: metric.needs_eval_set,
            requires_llm: metric.needs_judge(),
            requires_gcp: metric.needs_cloud(),
            requires_rubrics: metric.needs_rubrics,
            description: metric.about.to_owned(),
            working: metric.is_working(),
        }
    }
}

/// The metrics.
#[derive(Debug, Serialize, Object)]
#[oai(rename = "MetricList")]
pub(in crate::api) struct MetricList {
    /// Metrics, those included that cannot be computed here.
    data: Vec<MetricDescription>,
}

impl<'m> FromIterator<&'m Description> for MetricList {
    fn from_iter<I: IntoIterator<Item = &'m Description>>(metrics: I) -> Self {
        Self { data: metrics.into_iter().map(MetricDescription::from).collect() }
    }
}

/// Which keys of judge models this service has.
#[derive(Debug, Clone, Copy, Default, Serialize, Object)]
#[oai(rename = "ApiKeys")]
pub struct ApiKeys {
    /// Google's Gemini.
    pub google: bool,
    /// Anthropic.
    pub anthropic: bool,
    /// OpenAI.
    pub openai: bool,
}

/// Where telemetry is received.
#[derive(Debug, Serialize, Object)]
#[serde(rename_all = "camelCase")]
#[oai(rename = "OtlpPorts", rename_all = "camelCase")]
struct OtlpPorts {
    /// Port of OTLP over HTTP.
    http_port: u16,
    /// Port of OTLP over gRPC.
    grpc_port: u16,
}

/// How the service is set up.
#[derive(Debug, Serialize, Object)]
#[serde(rename_all = "camelCase")]
#[oai(rename = "Config", rename_all = "camelCase")]
struct ConfigAnswer {
    /// Which keys of judge models there are; never the keys.
    api_keys: ApiKeys,
    /// Where telemetry is received; null when it is not.
    otlp: Nullable<OtlpPorts>,
}

/// How the service is set up.
#[derive(Debug, Serialize, Object)]
#[oai(rename = "ConfigEnvelope")]
pub(in crate::api) struct OneConfig {
    /// What is set.
    data: ConfigAnswer,
}

impl From<ApiKeys> for OneConfig {
    fn from(api_keys: ApiKeys) -> Self {
        Self { data: ConfigAnswer { api_keys, otlp: Nullable(None) } }
    }
}

/// What a golden was found to be.
#[derive(Debug, Serialize, Object)]
#[serde(rename_all = "camelCase")]
#[oai(rename = "Validation", rename_all = "camelCase")]
struct ValidationAnswer {
    /// Whether it can be used.
    valid: bool,
    /// Its id; null when it cannot be used.
    eval_set_id: Nullable<String>,
    /// How many cases it has; null when it cannot be used.
    num_cases: Nullable<usize>,
    /// What is wrong, each with the place as a JSON pointer.
    errors: Vec<String>,
    /// What can be used and will not do what its writer hoped, likewise.
    warnings: Vec<String>,
}

/// What a golden was found to be.
#[derive(Debug, Serialize, Object)]
#[oai(rename = "ValidationEnvelope")]
pub(in crate::api) struct OneValidation {
    /// The outcome.
    data: ValidationAnswer,
}

impl From<ValidatedEvalSet> for OneValidation {
    fn from(ValidatedEvalSet { eval_set, errors, warnings }: ValidatedEvalSet) -> Self {
        let data = ValidationAnswer {
            valid: eval_set.is_some(),
            num_cases: Nullable(eval_set.as_ref().map(|set| set.cases.len())),
            eval_set_id: Nullable(eval_set.map(|set| set.id)),
            errors,
            warnings,
        };
        Self { data }
    }
}
