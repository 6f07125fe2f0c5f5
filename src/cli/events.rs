//! Whether and where evaluation results are sent as telemetry: flags and the standard OTLP variables.

use std::time::Duration;

use anyhow::{anyhow, bail};
use clap::Args;
use clap::builder::BoolishValueParser;

use crate::evaluation_events::{Exporter, ExporterSettings};

/// Telemetry about results.
#[derive(Debug, Args)]
pub(super) struct EventArguments {
    /// Send the results as OpenTelemetry log records to the collector of the standard OTLP variables
    #[arg(long, env = "AGENTEVALS_EVALUATION_EVENTS", value_parser = BoolishValueParser::new())]
    emit_otel: bool,
    /// Send explanations too, which may quote the agent
    #[arg(long, env = "AGENTEVALS_EVALUATION_EVENTS_EXPLANATION", hide = true)]
    #[arg(value_parser = BoolishValueParser::new())]
    emit_explanations: bool,
    #[arg(long, env = "OTEL_SDK_DISABLED", hide = true, value_parser = BoolishValueParser::new())]
    otel_sdk_disabled: bool,
    #[arg(long, env = "OTEL_LOGS_EXPORTER", hide = true, default_value = "otlp")]
    otel_logs_exporter: String,
    #[arg(long, env = "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", hide = true)]
    otlp_logs_endpoint: Option<String>,
    #[arg(long, env = "OTEL_EXPORTER_OTLP_ENDPOINT", hide = true, default_value = "http://localhost:4318")]
    otlp_endpoint: String,
    #[arg(long, env = "OTEL_EXPORTER_OTLP_LOGS_PROTOCOL", hide = true)]
    otlp_logs_protocol: Option<String>,
    #[arg(long, env = "OTEL_EXPORTER_OTLP_PROTOCOL", hide = true, default_value = "http/json")]
    otlp_protocol: String,
    #[arg(long, env = "OTEL_EXPORTER_OTLP_LOGS_HEADERS", hide = true, hide_env_values = true)]
    otlp_logs_headers: Option<String>,
    #[arg(long, env = "OTEL_EXPORTER_OTLP_HEADERS", hide = true, hide_env_values = true, default_value = "")]
    otlp_headers: String,
    /// Milliseconds, as the OpenTelemetry specification has it
    #[arg(long, env = "OTEL_EXPORTER_OTLP_TIMEOUT", hide = true, default_value_t = 10_000)]
    otlp_timeout: u64,
}

impl EventArguments {
    /// The exporter, if results are to be sent.
    ///
    /// # Errors
    /// The variables ask for something that cannot be done.
    pub(super) fn exporter(&self) -> anyhow::Result<Option<Exporter>> {
        if !self.emit_otel || self.otel_sdk_disabled || self.otel_logs_exporter == "none" {
            return Ok(None);
        }
        let protocol = self.otlp_logs_protocol.as_deref().unwrap_or(&self.otlp_protocol);
        // Collectors take JSON where they take protobuf; gRPC is another port and another protocol.
        if protocol == "grpc" {
            bail!("evaluation events are sent over HTTP; set OTEL_EXPORTER_OTLP_PROTOCOL to http/json");
        }
        let endpoint = self.otlp_logs_endpoint.clone();
        let endpoint =
            endpoint.unwrap_or_else(|| format!("{}/v1/logs", self.otlp_endpoint.trim_end_matches('/')));
        let headers = self.otlp_logs_headers.as_deref().unwrap_or(&self.otlp_headers);
        let settings = ExporterSettings {
            endpoint,
            headers: parse_headers(headers)?,
            timeout: Duration::from_millis(self.otlp_timeout),
            with_explanations: self.emit_explanations,
        };
        Ok(Some(Exporter::new(settings)?))
    }
}

/// Parses `name=value,name=value` with percent-encoded values, as in W3C baggage.
fn parse_headers(text: &str) -> anyhow::Result<Vec<(String, String)>> {
    let pairs = text.split(',').map(str::trim).filter(|pair| !pair.is_empty());
    let parse = |pair: &str| {
        let (name, value) =
            pair.split_once('=').ok_or_else(|| anyhow!("OTLP headers: expected name=value pairs"))?;
        Ok((name.trim().to_owned(), percent_decoded(value.trim())))
    };
    pairs.map(parse).collect()
}

fn percent_decoded(text: &str) -> String {
    percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned()
}
