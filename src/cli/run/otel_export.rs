//! Export of results as OpenTelemetry log records: the flag and the standard OTLP variables.

use std::time::Duration;

use anyhow::bail;
use clap::Args;
use clap::builder::BoolishValueParser;

use crate::otel_export::{Exporter, ExporterSettings};

/// Base URL of the collector by default, as the OTLP specification has it.
const DEFAULT_ENDPOINT: &str = "http://localhost:4318";

/// Timeout of one request by default, as the OTLP specification has it.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

/// Options and variables of the export.
///
/// The standard variables are taken as text and checked only when results are exported, since other programs read
/// them too: one that is meant for those must not fail a run. An empty one counts as not set.
#[derive(Args)]
pub(super) struct OtelExportArguments {
    /// Send the results as OpenTelemetry log records to the collector of the standard OTLP variables
    #[arg(long, env = "AGENTEVALS_EVALUATION_EVENTS", value_parser = BoolishValueParser::new())]
    emit_otel: bool,
    #[arg(long, env = "AGENTEVALS_EVALUATION_EVENTS_EXPLANATION", hide = true)]
    emit_explanations: Option<String>,
    #[arg(long, env = "OTEL_SDK_DISABLED", hide = true)]
    otel_sdk_disabled: Option<String>,
    #[arg(long, env = "OTEL_LOGS_EXPORTER", hide = true)]
    otel_logs_exporter: Option<String>,
    #[arg(long, env = "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", hide = true)]
    otlp_logs_endpoint: Option<String>,
    #[arg(long, env = "OTEL_EXPORTER_OTLP_ENDPOINT", hide = true)]
    otlp_endpoint: Option<String>,
    #[arg(long, env = "OTEL_EXPORTER_OTLP_LOGS_PROTOCOL", hide = true)]
    otlp_logs_protocol: Option<String>,
    #[arg(long, env = "OTEL_EXPORTER_OTLP_PROTOCOL", hide = true)]
    otlp_protocol: Option<String>,
    #[arg(long, env = "OTEL_EXPORTER_OTLP_LOGS_HEADERS", hide = true, hide_env_values = true)]
    otlp_logs_headers: Option<String>,
    #[arg(long, env = "OTEL_EXPORTER_OTLP_HEADERS", hide = true, hide_env_values = true)]
    otlp_headers: Option<String>,
    #[arg(long, env = "OTEL_EXPORTER_OTLP_TIMEOUT", hide = true)]
    otlp_timeout: Option<String>,
}

impl std::fmt::Debug for OtelExportArguments {
    // By hand, because headers and addresses may hold secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OtelExportArguments").field("emit_otel", &self.emit_otel).finish_non_exhaustive()
    }
}

impl OtelExportArguments {
    /// The exporter; `None` unless results are to be exported.
    ///
    /// # Errors
    /// A variable has an unsupported or malformed value. The message names the variable and never its value, which may
    /// be a secret.
    pub(super) fn exporter(&self) -> anyhow::Result<Option<Exporter>> {
        if !self.emit_otel || is_true(&self.otel_sdk_disabled) {
            return Ok(None);
        }
        match set(&self.otel_logs_exporter).unwrap_or("otlp") {
            "otlp" => {}
            "none" => return Ok(None),
            _ => bail!("OTEL_LOGS_EXPORTER: only otlp and none are known"),
        }
        let protocol = set(&self.otlp_logs_protocol).or(set(&self.otlp_protocol)).unwrap_or("http/json");
        // Collectors take JSON where they take protobuf; gRPC is another port and another protocol.
        if !matches!(protocol, "http/json" | "http/protobuf") {
            bail!("OTEL_EXPORTER_OTLP_PROTOCOL: events are sent over HTTP; set it to http/json");
        }
        let headers = set(&self.otlp_logs_headers).or(set(&self.otlp_headers)).unwrap_or_default();
        let settings = ExporterSettings {
            endpoint: self.endpoint(),
            timeout: self.timeout()?,
            headers: parse_headers(headers)?,
            with_explanations: is_true(&self.emit_explanations),
        };
        Ok(Some(Exporter::new(settings)?))
    }

    /// The URL for logs as it stands, else the base URL with the path for logs.
    fn endpoint(&self) -> String {
        if let Some(endpoint) = set(&self.otlp_logs_endpoint) {
            return endpoint.to_owned();
        }
        let base = set(&self.otlp_endpoint).unwrap_or(DEFAULT_ENDPOINT);
        format!("{}/v1/logs", base.trim_end_matches('/'))
    }

    fn timeout(&self) -> anyhow::Result<Duration> {
        let Some(text) = set(&self.otlp_timeout) else { return Ok(DEFAULT_TIMEOUT) };
        match text.parse() {
            Ok(milliseconds) => Ok(Duration::from_millis(milliseconds)),
            Err(_) => bail!("OTEL_EXPORTER_OTLP_TIMEOUT: expected milliseconds"),
        }
    }
}

/// The value of a variable, unless it is unset or blank.
fn set(variable: &Option<String>) -> Option<&str> {
    variable.as_deref().map(str::trim).filter(|value| !value.is_empty())
}

fn is_true(variable: &Option<String>) -> bool {
    let value = set(variable).unwrap_or_default();
    ["true", "1", "yes", "on"].iter().any(|word| value.eq_ignore_ascii_case(word))
}

/// Parses `name=value,name=value` with percent-encoded values, as in W3C baggage.
fn parse_headers(text: &str) -> anyhow::Result<Vec<(String, String)>> {
    let mut headers = Vec::new();
    for pair in text.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
        let Some(header) = parse_header(pair) else {
            // By number and not by text, which may be a secret.
            let number = headers.len() + 1;
            bail!("OTEL_EXPORTER_OTLP_HEADERS: header {number} is malformed; write name=value");
        };
        headers.push(header);
    }
    Ok(headers)
}

fn parse_header(pair: &str) -> Option<(String, String)> {
    let (name, value) = pair.split_once('=')?;
    let name = name.trim();
    let is_name = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    let value = percent_encoding::percent_decode_str(value.trim()).decode_utf8_lossy().into_owned();
    (is_name && !value.contains(char::is_control)).then(|| (name.to_owned(), value))
}
