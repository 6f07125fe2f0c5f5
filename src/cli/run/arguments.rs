//! The options of `agentevals run`.

use std::path::PathBuf;
use std::str::FromStr;

use clap::builder::PossibleValue;
use clap::{Args, ValueEnum};

use super::otel_export::OtelExportArguments;
use crate::evaluation::config::OutputFormat;
use crate::evaluation::{GroupBy, Unmatched};
use crate::json::checked::choose;
use crate::metrics::trajectory::{ArgsMode, MatchType};
use crate::trace::{DEFAULT_MAX_BYTES, Format};

/// Score trace files against a golden eval set
///
/// Exit code: 0 passed, 1 evaluated and not passed, 2 bad usage, input or configuration, 3 could not be
/// evaluated, 130 interrupted.
#[derive(Debug, Args)]
pub struct RunArguments {
    /// Trace files (OTLP or Jaeger JSON, JSON lines, gzip), directories of them, or `-` for standard input
    #[arg(required = true, value_name = "TRACE")]
    pub(super) traces: Vec<PathBuf>,
    /// Golden eval set (ADK EvalSet JSON)
    #[arg(short, long, value_name = "FILE")]
    pub(super) eval_set: Option<PathBuf>,
    /// Metric to compute; may be repeated [default: tool_trajectory_avg_score]
    #[arg(short, long = "metric", value_name = "NAME")]
    pub(super) metrics: Vec<String>,
    /// Run only this one of the metrics and evaluators configured; may be repeated
    #[arg(long, value_name = "NAME")]
    pub(super) only: Vec<String>,
    /// Read the traces as jaeger-json or otlp-json instead of detecting the format
    #[arg(short, long)]
    pub(super) format: Option<Format>,
    /// Judge model, for metrics that ask one
    #[arg(short, long, value_name = "MODEL")]
    pub(super) judge_model: Option<String>,
    /// Score from which a metric passes, within 0 and 1 [default: 1 for tool_trajectory_avg_score, every turn matches;
    /// 0.5 for others]
    #[arg(short, long, value_parser = parse_threshold)]
    pub(super) threshold: Option<f64>,
    /// Which calls must be there: EXACT, IN_ORDER, ANY_ORDER, SUBSET or SUPERSET [default: EXACT]
    #[arg(long, value_name = "TYPE", value_parser = parse_match_type)]
    pub(super) trajectory_match_type: Option<MatchType>,
    /// Which arguments must agree: exact, ignore, subset or superset, for all tools or for one (`search=ignore`);
    /// may be repeated [default: exact]
    #[arg(long, value_name = "[TOOL=]MODE")]
    pub(super) trajectory_args: Vec<ToolArgsMode>,
    /// How to print the results [default: table]
    #[arg(short, long, value_enum)]
    pub(super) output: Option<OutputFormat>,
    /// Evaluation configuration (YAML)
    #[arg(short, long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// Which traces are evaluated together: auto, trace or conversation [default: auto]
    #[arg(long, value_name = "WHAT", value_parser = parse_group_by)]
    pub(super) group_by: Option<GroupBy>,
    /// Score like the reference implementation: missing turns and unmatched cases do not fail, and nothing is
    /// joined across files
    #[arg(long)]
    pub(super) lenient: bool,
    /// A conversation that matches no eval case: `fail` (it does not pass) or `ignore` (it does not count)
    #[arg(long, value_name = "HOW", default_value = "fail", value_parser = parse_unmatched)]
    pub(super) unmatched: Unmatched,
    #[command(flatten)]
    pub(super) otel_export: OtelExportArguments,
    /// Threads to use [default: all cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(super) jobs: Option<u16>,
    /// Largest input that is read, in bytes after decompression
    #[arg(long, value_name = "BYTES", default_value_t = DEFAULT_MAX_BYTES)]
    pub(super) max_input_bytes: u64,
}

/// How the arguments of one tool, or of all, are compared: `subset` or `search=ignore`.
#[derive(Debug, Clone)]
pub(super) struct ToolArgsMode {
    pub(super) tool: Option<String>,
    pub(super) mode: ArgsMode,
}

impl FromStr for ToolArgsMode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // From the right: names of tools may contain `=`, modes do not.
        let (tool, word) = match text.rsplit_once('=') {
            Some((tool, word)) => (Some(tool.to_owned()), word),
            None => (None, text),
        };
        Ok(Self { tool, mode: choose(word, &ArgsMode::NAMES)? })
    }
}

/// Here, so that `evaluation` need not know clap.
impl ValueEnum for OutputFormat {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::Table, Self::Json, Self::Summary]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        let help = match self {
            Self::Table => "For people",
            Self::Json => "For programs",
            Self::Summary => "One line per metric",
        };
        let (name, _) = Self::NAMES.iter().find(|(_, format)| format == self)?;
        Some(PossibleValue::new(*name).help(help))
    }
}

fn parse_match_type(text: &str) -> Result<MatchType, String> {
    choose(text, &MatchType::NAMES)
}

/// Parses a threshold in 0..=1.
fn parse_threshold(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(threshold) if (0.0..=1.0).contains(&threshold) => Ok(threshold),
        Ok(_) => Err("must lie within 0 and 1".into()),
        Err(_) => Err("is not a number".into()),
    }
}

fn parse_group_by(text: &str) -> Result<GroupBy, String> {
    let found = GroupBy::NAMES.iter().find(|(name, _)| *name == text);
    found.map(|(_, group_by)| *group_by).ok_or_else(|| "expected auto, trace or conversation".into())
}

fn parse_unmatched(text: &str) -> Result<Unmatched, String> {
    choose(text, &Unmatched::NAMES)
}
