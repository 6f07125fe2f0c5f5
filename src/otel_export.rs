//! Sends evaluation results as OpenTelemetry log records (`gen_ai.evaluation.result`) over OTLP/HTTP.
//!
//! Each record has the trace and span id of the evaluated span, so that a tracing backend shows the score beside the
//! agent's own spans. The body is OTLP JSON, which collectors accept on the same path as protobuf.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::evaluation::{Report, TurnRef, UnitReport};
use crate::metrics::{EvalStatus, MetricResult, catalog};

/// Records in one request; such a request is well below the size that collectors accept by default.
const RECORDS_PER_REQUEST: usize = 512;

/// Longest explanation that is sent, in characters.
const MAX_EXPLANATION_CHARS: usize = 2048;

/// Severity INFO of the OpenTelemetry log data model.
const SEVERITY_INFO: u8 = 9;

/// Why results could not be sent.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The endpoint or a header is malformed.
    #[error("{0}")]
    Settings(String),
    /// The collector could not be reached or did not answer in time.
    #[error("sending evaluation events to {endpoint}: {reason}")]
    Unreachable {
        /// The endpoint, without secrets.
        endpoint: String,
        /// The cause.
        reason: String,
    },
    /// The collector refused them.
    #[error("sending evaluation events to {endpoint}: the collector answered {status}")]
    Refused {
        /// The endpoint, without secrets.
        endpoint: String,
        /// HTTP status.
        status: u16,
    },
}

/// The collector, and how results are sent to it.
#[derive(Clone)]
pub struct ExporterSettings {
    /// URL of the collector for OTLP logs.
    pub endpoint: String,
    /// Header names and values; values may be secret.
    pub headers: Vec<(String, String)>,
    /// Time limit of one request.
    pub timeout: Duration,
    /// Whether to send explanations, which may quote the agent.
    pub with_explanations: bool,
}

/// Sends evaluation results to a collector.
pub struct Exporter {
    endpoint: reqwest::Url,
    with_explanations: bool,
    client: reqwest::Client,
}

impl Exporter {
    /// Prepares the client, without connecting.
    ///
    /// # Errors
    /// `Settings` when the address or a header is malformed.
    pub fn new(settings: ExporterSettings) -> Result<Self, ExportError> {
        // Fails if the process has a provider already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let malformed = |what: &str| ExportError::Settings(format!("OTLP exporter: {what}"));
        let endpoint = reqwest::Url::parse(&settings.endpoint).ok();
        let endpoint = endpoint
            .filter(|url| matches!(url.scheme(), "http" | "https"))
            .ok_or_else(|| malformed("the endpoint is no http or https URL"))?;
        let mut headers = reqwest::header::HeaderMap::new();
        for (index, (name, value)) in settings.headers.iter().enumerate() {
            let parsed = reqwest::header::HeaderName::try_from(name).ok();
            let parsed = parsed.zip(value.parse::<reqwest::header::HeaderValue>().ok());
            let (name, mut value) =
                parsed.ok_or_else(|| malformed(&format!("header {} is malformed", index + 1)))?;
            value.set_sensitive(true);
            headers.insert(name, value);
        }
        let client = reqwest::Client::builder()
            .default_headers(headers)
            .timeout(settings.timeout)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| malformed(&error.to_string()))?;
        Ok(Self { endpoint, with_explanations: settings.with_explanations, client })
    }

    /// The endpoint without user, password and query, which may be secret.
    fn shown_endpoint(&self) -> String {
        format!("{}{}", self.endpoint.origin().ascii_serialization(), self.endpoint.path())
    }

    /// Sends the results of a report. `eval_set_id` names the eval set that it was compared with.
    ///
    /// # Errors
    /// `Unreachable` or `Refused` for the first request that fails; the rest is not sent.
    pub async fn export(&self, report: &Report, eval_set_id: Option<&str>) -> Result<(), ExportError> {
        let records = records(report, eval_set_id, self.with_explanations);
        for batch in records.chunks(RECORDS_PER_REQUEST) {
            let request = self
                .client
                .post(self.endpoint.clone())
                .header(reqwest::header::CONTENT_TYPE, "application/json")
                .body(envelope(batch).to_string());
            let response = request.send().await.map_err(|error| ExportError::Unreachable {
                endpoint: self.shown_endpoint(),
                reason: root_cause(&error),
            })?;
            if !response.status().is_success() {
                return Err(ExportError::Refused {
                    endpoint: self.shown_endpoint(),
                    status: response.status().as_u16(),
                });
            }
        }
        Ok(())
    }
}

/// The innermost cause; reqwest's own text does not include it.
fn root_cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

fn envelope(records: &[Value]) -> Value {
    let scope = json!({"name": "agentevals", "version": env!("CARGO_PKG_VERSION")});
    json!({"resourceLogs": [{
        "resource": {"attributes": [text("service.name", "agentevals")]},
        "scopeLogs": [{"scope": scope, "logRecords": records}],
    }]})
}

fn text(key: &str, value: &str) -> Value {
    json!({"key": key, "value": {"stringValue": value}})
}

fn records(report: &Report, eval_set_id: Option<&str>, with_explanations: bool) -> Vec<Value> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos().to_string();
    let mut records = Vec::new();
    for unit in &report.traces {
        let Some(last) = unit.turn_refs.last() else { continue };
        for metric in &unit.metrics {
            let subject = Subject { unit, metric, eval_set_id, with_explanations };
            // Without scores per turn there is one result for the whole conversation; it goes to the last turn.
            if metric.error.is_some() || metric.per_invocation_scores.is_empty() {
                records.push(subject.record(last, metric.score, metric.eval_status, &now));
                continue;
            }
            let scores = metric.per_invocation_scores.iter().zip(&metric.per_invocation_statuses);
            for (turn, (score, status)) in unit.turn_refs.iter().zip(scores) {
                records.push(subject.record(turn, *score, *status, &now));
            }
        }
    }
    records
}

/// The result of one metric on one unit, of which each record is about one turn.
struct Subject<'r> {
    unit: &'r UnitReport,
    metric: &'r MetricResult,
    eval_set_id: Option<&'r str>,
    with_explanations: bool,
}

impl Subject<'_> {
    fn record(&self, turn: &TurnRef, score: Option<f64>, status: EvalStatus, now: &str) -> Value {
        let mut attributes = self.attributes(turn);
        if let Some(score) = score {
            attributes.push(json!({"key": "gen_ai.evaluation.score.value", "value": {"doubleValue": score}}));
        }
        attributes.extend(label(status).map(|label| text("gen_ai.evaluation.score.label", label)));
        if let Some(explanation) = explanation(self.metric).filter(|_| self.with_explanations) {
            attributes.push(text("gen_ai.evaluation.explanation", &explanation));
        }
        let mut record = json!({
            "timeUnixNano": now,
            "observedTimeUnixNano": now,
            "severityNumber": SEVERITY_INFO,
            "severityText": "INFO",
            "eventName": "gen_ai.evaluation.result",
            "attributes": attributes,
            "flags": 1,
        });
        // Collectors refuse the whole batch for an id of another length, so such a record goes without ids.
        let ids = padded(&turn.trace_id, 32).zip(padded(&turn.evaluated_span_id, 16));
        if let Some((trace_id, span_id)) = ids {
            (record["traceId"], record["spanId"]) = (trace_id.into(), span_id.into());
        }
        record
    }

    fn attributes(&self, turn: &TurnRef) -> Vec<Value> {
        let Self { unit, metric, eval_set_id, .. } = self;
        let is_builtin = catalog::find(&metric.metric_name).is_ok();
        let optional = [
            ("gen_ai.agent.name", unit.agent_name.as_deref()),
            ("gen_ai.conversation.id", unit.conversation_id.as_deref()),
            ("gen_ai.response.id", turn.response_id.as_deref()),
            ("agentevals.evaluator.type", is_builtin.then_some("deterministic")),
            ("agentevals.eval.case.id", unit.eval_case_id.as_deref()),
            ("agentevals.eval_set.id", eval_set_id.filter(|_| unit.eval_case_id.is_some())),
            ("error.type", metric.error_type.as_deref()),
        ];
        let mut attributes = vec![text("gen_ai.evaluation.name", &metric.metric_name)];
        attributes.extend(optional.into_iter().filter_map(|(key, value)| Some(text(key, value?))));
        attributes
    }
}

/// A hexadecimal id with the leading zeros that exporters may have cut; `None` for an id that is not hexadecimal.
fn padded(id: &str, digits: usize) -> Option<String> {
    let is_hex = id.len() <= digits && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hex.then(|| format!("{id:0>digits$}"))
}

fn label(status: EvalStatus) -> Option<&'static str> {
    match status {
        EvalStatus::Passed => Some("pass"),
        EvalStatus::Failed => Some("fail"),
        EvalStatus::NotEvaluated => Some("not_evaluated"),
        EvalStatus::Informational => None,
    }
}

fn explanation(metric: &MetricResult) -> Option<String> {
    let details = metric.details.as_ref()?;
    let found = ["explanation", "rationale", "reason"].iter().find_map(|key| details.get_str(key))?;
    Some(found.chars().take(MAX_EXPLANATION_CHARS).collect())
}
