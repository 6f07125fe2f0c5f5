//! Metrics, settings, and checked eval sets in answers.

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
    /// Name of the metric.
    name: String,
    /// Subject of the metric, such as trajectory or response.
    category: String,
    /// Whether it needs a golden eval set.
    requires_eval_set: bool,
    /// Whether it asks a judge model.
    #[serde(rename = "requiresLLM")]
    #[oai(rename = "requiresLLM")]
    requires_llm: bool,
    /// Whether it calls the Vertex evaluation service.
    #[serde(rename = "requiresGCP")]
    #[oai(rename = "requiresGCP")]
    requires_gcp: bool,
    /// Whether it needs rubrics.
    requires_rubrics: bool,
    /// Description of the metric.
    description: String,
    /// Whether this service can compute it.
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
    /// All metrics, including those that this service cannot compute.
    data: Vec<MetricDescription>,
}

impl<'m> FromIterator<&'m Description> for MetricList {
    fn from_iter<I: IntoIterator<Item = &'m Description>>(metrics: I) -> Self {
        Self { data: metrics.into_iter().map(MetricDescription::from).collect() }
    }
}

/// Whether the service has an API key of each provider of judge models.
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

/// Ports of the OTLP receivers.
#[derive(Debug, Serialize, Object)]
#[serde(rename_all = "camelCase")]
#[oai(rename = "OtlpPorts", rename_all = "camelCase")]
struct OtlpPorts {
    /// Port of OTLP over HTTP.
    http_port: u16,
    /// Port of OTLP over gRPC.
    grpc_port: u16,
}

/// Settings of the service.
#[derive(Debug, Serialize, Object)]
#[serde(rename_all = "camelCase")]
#[oai(rename = "Config", rename_all = "camelCase")]
struct ConfigAnswer {
    /// Whether there is an API key of each provider; never the keys themselves.
    api_keys: ApiKeys,
    /// Ports of the OTLP receivers; null if there are none.
    otlp: Nullable<OtlpPorts>,
}

/// Settings of the service.
#[derive(Debug, Serialize, Object)]
#[oai(rename = "ConfigEnvelope")]
pub(in crate::api) struct OneConfig {
    /// The settings.
    data: ConfigAnswer,
}

impl From<ApiKeys> for OneConfig {
    fn from(api_keys: ApiKeys) -> Self {
        Self { data: ConfigAnswer { api_keys, otlp: Nullable(None) } }
    }
}

/// The outcome of checking an eval set.
#[derive(Debug, Serialize, Object)]
#[serde(rename_all = "camelCase")]
#[oai(rename = "Validation", rename_all = "camelCase")]
struct ValidationAnswer {
    /// Whether the eval set can be used.
    valid: bool,
    /// Id of the eval set; null if it cannot be used.
    eval_set_id: Nullable<String>,
    /// Number of cases; null if the eval set cannot be used.
    num_cases: Nullable<usize>,
    /// Faults, each with a JSON pointer to its place.
    errors: Vec<String>,
    /// Valid members that are probably mistakes, each with a JSON pointer.
    warnings: Vec<String>,
}

/// The outcome of checking an eval set.
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
