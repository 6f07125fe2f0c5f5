//! `agentevals run`: score trace files.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use rayon::prelude::*;
use tracing::{info, warn};

use super::events::EventArguments;
use super::settings::{Output, RunSettings, ToolArgsMode, parse_match_type, parse_threshold};
use super::{EXIT_ERRORED, EXIT_FAILED, EXIT_INTERRUPTED, EXIT_PASSED, EXIT_USAGE, inputs, output, runtime};
use crate::eval_set::EvalSet;
use crate::evaluation::{Evaluator, GroupBy, Observer, Report, UnitPlace, UnitReport, Verdict, evaluate};
use crate::metrics::trajectory::MatchType;
use crate::trace::{self, DEFAULT_MAX_BYTES, Document, Format, Join, Trace};

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
    /// Of the metrics and evaluators configured, run only this one; may be repeated
    #[arg(long, value_name = "NAME")]
    pub(super) only: Vec<String>,
    /// Read the traces as jaeger-json or otlp-json instead of detecting the format
    #[arg(short, long)]
    pub(super) format: Option<Format>,
    /// Model that judges, for metrics that ask one
    #[arg(short, long, value_name = "MODEL")]
    pub(super) judge_model: Option<String>,
    /// Score from which a metric passes, within 0 and 1 [default: 0.5]
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
    pub(super) output: Option<Output>,
    /// Evaluation configuration (YAML)
    #[arg(short, long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// What is evaluated together: auto, trace or conversation [default: auto]
    #[arg(long, value_name = "WHAT", value_parser = parse_group_by)]
    pub(super) group_by: Option<GroupBy>,
    /// Score like the reference implementation: missing turns and unmatched cases do not fail, and nothing is
    /// joined across files
    #[arg(long)]
    pub(super) lenient: bool,
    #[command(flatten)]
    events: EventArguments,
    /// Threads to use [default: all cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    jobs: Option<u16>,
    /// Largest input that is read, in bytes after decompression
    #[arg(long, value_name = "BYTES", default_value_t = DEFAULT_MAX_BYTES)]
    max_input_bytes: u64,
}

fn parse_group_by(text: &str) -> Result<GroupBy, String> {
    let found = GroupBy::NAMES.iter().find(|(name, _)| *name == text);
    found.map(|(_, group_by)| *group_by).ok_or_else(|| "expected auto, trace or conversation".into())
}

/// Runs the command and returns the exit code.
pub(super) fn run(arguments: &RunArguments) -> anyhow::Result<u8> {
    let settings = RunSettings::new(arguments)?;
    let exporter = arguments.events.exporter()?;
    let files = inputs::expand(&arguments.traces)?;
    if let Some(jobs) = arguments.jobs {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(usize::from(jobs));
        pool.build_global().context("starting threads")?;
    }
    let mut errors = Vec::new();
    let eval_set = settings
        .eval_set
        .as_deref()
        .and_then(|path| read_eval_set(path).map_err(|error| errors.push(format!("{error:#}"))).ok());
    let remedy = "split it or raise --max-input-bytes";
    let read = |file: &PathBuf| inputs::read(file, arguments.max_input_bytes, remedy);
    let read: Vec<_> = match files.len() {
        1 => files.iter().map(read).collect(),
        _ => files.par_iter().map(read).collect(),
    };
    let mut documents: Vec<Document> = Vec::with_capacity(read.len());
    for document in read {
        match document {
            Ok(document) => documents.push(document),
            Err(error) => errors.push(error),
        }
    }
    let join = if arguments.lenient { Join::WithinDocuments } else { Join::AcrossDocuments };
    let loaded = trace::load(&documents, settings.format, join);
    errors.extend(loaded.errors.iter().map(ToString::to_string));
    info!(
        documents = documents.len(),
        traces = loaded.traces.len(),
        log_records = loaded.log_records,
        "read {} traces and {} log records from {} documents",
        loaded.traces.len(),
        loaded.log_records,
        documents.len()
    );
    let is_all_read = loaded.errors.is_empty() && documents.len() == files.len();
    if loaded.traces.is_empty() && is_all_read {
        errors.push(match loaded.log_records {
            0 => "no traces were read: the inputs hold no spans".to_owned(),
            logs => format!("no traces were read, only {logs} log records; give the file with the spans too"),
        });
    }
    let Some(mut report) = evaluate_interruptibly(&loaded.traces, eval_set.as_ref(), &settings)? else {
        eprintln!("error: interrupted");
        return Ok(EXIT_INTERRUPTED);
    };
    // A summary lists the errors itself.
    for error in errors.iter().filter(|_| settings.output != Output::Summary) {
        eprintln!("error: {}", output::printable(error));
    }
    let has_bad_input = !errors.is_empty();
    report.add_reading(errors, loaded.warnings);
    output::print(&report, settings.output)?;
    if let Some(exporter) = exporter {
        let eval_set_id = eval_set.as_ref().map(|set| &*set.id);
        // The results stand whether or not a collector takes them.
        if let Err(error) = runtime()?.block_on(exporter.export(&report, eval_set_id)) {
            warn!("{error}");
        }
    }
    let verdict = report.verdict;
    // The process is about to end; freeing a large recording span by span would only delay that.
    std::mem::forget((loaded.traces, report));
    Ok(match verdict {
        _ if has_bad_input => EXIT_USAGE,
        Verdict::Passed => EXIT_PASSED,
        Verdict::Failed => EXIT_FAILED,
        Verdict::Errored => EXIT_ERRORED,
    })
}

fn read_eval_set(path: &Path) -> anyhow::Result<EvalSet> {
    let reading = || format!("reading eval set `{}`", path.display());
    let document = inputs::read(path, inputs::MAX_EVAL_SET_BYTES, "split it")
        .map_err(anyhow::Error::msg)
        .with_context(reading)?;
    EvalSet::parse(document.text()).with_context(reading)
}

/// Evaluates until done or until a signal comes, which ends custom evaluators with their process groups.
fn evaluate_interruptibly(
    traces: &[Trace<'_>],
    eval_set: Option<&EvalSet>,
    settings: &RunSettings,
) -> anyhow::Result<Option<Report>> {
    let progress = Progress::new();
    let evaluation = evaluate(traces, eval_set, &settings.plan, &progress, &|| false);
    let runtime = runtime()?;
    let has_custom = settings.plan.evaluators.iter().any(Evaluator::is_custom);
    let report = runtime.block_on(async {
        if !has_custom {
            return Ok(evaluation.await); // nothing to clean up: a signal may simply end the process
        }
        let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
        tokio::select! {
            report = evaluation => Ok(report),
            _ = tokio::signal::ctrl_c() => Ok(None),
            _ = terminate.recv() => Ok(None),
        }
    });
    progress.finish();
    report.map_err(|error: std::io::Error| anyhow::Error::new(error).context("listening for signals"))
}

/// A progress bar on standard error, shown only on a terminal and only when the work takes a while.
struct Progress {
    started: Instant,
    done: AtomicU64,
    bar: OnceLock<ProgressBar>,
}

impl Progress {
    /// How long the work may take before the bar appears.
    const PATIENCE: Duration = Duration::from_millis(500);

    fn new() -> Self {
        Self { started: Instant::now(), done: AtomicU64::new(0), bar: OnceLock::new() }
    }

    fn finish(&self) {
        if let Some(bar) = self.bar.get() {
            bar.finish_and_clear();
        }
    }
}

impl Observer for Progress {
    fn unit_done(&self, UnitPlace { total, .. }: UnitPlace, _: &UnitReport) {
        let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
        if self.started.elapsed() < Self::PATIENCE || !console::user_attended_stderr() {
            return;
        }
        let bar = self.bar.get_or_init(|| {
            let style = ProgressStyle::with_template("{bar:40} {pos}/{len} evaluated, {eta} left");
            let bar = ProgressBar::new(total as u64);
            bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        });
        bar.set_position(done);
    }
}
