//! Whether and where evaluation results are sent as telemetry: flags and the standard OTLP variables.

use std::time::Duration;

use anyhow::{anyhow, bail};
use clap::Args;
use clap::builder::BoolishValueParser;

use crate::otel_export::{Exporter, ExporterSettings};

/// Where results are sent when nothing is said.
const DEFAULT_ENDPOINT: &str = "http://localhost:4318";

/// Milliseconds for one request when nothing is said.
const DEFAULT_TIMEOUT_MS: u64 = 10_000;

/// Telemetry about results.
///
/// The standard variables are taken as text and looked at only when results are sent, since other programs read
/// them too; an empty one counts as not set.
#[derive(Args)]
pub(super) struct EventArguments {
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

impl std::fmt::Debug for EventArguments {
    /// Headers and addresses may hold secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EventArguments").field("emit_otel", &self.emit_otel).finish_non_exhaustive()
    }
}

impl EventArguments {
    /// The exporter, if results are to be sent.
    ///
    /// # Errors
    /// The variables ask for something that cannot be done; the text names the variable, never its value.
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
        let endpoint = set(&self.otlp_logs_endpoint).map(str::to_owned).unwrap_or_else(|| {
            let base = set(&self.otlp_endpoint).unwrap_or(DEFAULT_ENDPOINT);
            format!("{}/v1/logs", base.trim_end_matches('/'))
        });
        let timeout_ms = match set(&self.otlp_timeout).map(str::parse) {
            None => DEFAULT_TIMEOUT_MS,
            Some(Ok(milliseconds)) => milliseconds,
            Some(Err(_)) => bail!("OTEL_EXPORTER_OTLP_TIMEOUT: expected milliseconds"),
        };
        let headers = set(&self.otlp_logs_headers).or(set(&self.otlp_headers)).unwrap_or_default();
        let settings = ExporterSettings {
            endpoint,
            headers: parse_headers(headers)?,
            timeout: Duration::from_millis(timeout_ms),
            with_explanations: is_true(&self.emit_explanations),
        };
        Ok(Some(Exporter::new(settings)?))
    }
}

/// The value of a variable that is set and not empty.
fn set(variable: &Option<String>) -> Option<&str> {
    variable.as_deref().map(str::trim).filter(|value| !value.is_empty())
}

fn is_true(variable: &Option<String>) -> bool {
    let value = set(variable).unwrap_or_default();
    ["true", "1", "yes", "on"].iter().any(|word| value.eq_ignore_ascii_case(word))
}

/// Parses `name=value,name=value` with percent-encoded values, as in W3C baggage.
fn parse_headers(text: &str) -> anyhow::Result<Vec<(String, String)>> {
    let pairs = text.split(',').map(str::trim).filter(|pair| !pair.is_empty()).enumerate();
    let parse = |(index, pair): (usize, &str)| {
        // The text is not quoted: it may be a secret.
        let malformed =
            || anyhow!("OTEL_EXPORTER_OTLP_HEADERS: header {} is malformed; write name=value", index + 1);
        let (name, value) = pair.split_once('=').ok_or_else(malformed)?;
        let is_name = name.trim().bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
        let value = percent_encoding::percent_decode_str(value.trim()).decode_utf8_lossy().into_owned();
        if !is_name || value.contains(char::is_control) {
            return Err(malformed());
        }
        Ok((name.trim().to_owned(), value))
    };
    pairs.map(parse).collect()
}
