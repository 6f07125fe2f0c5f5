//! Reads traces and eval set, evaluates, prints the report and exports it.

use std::path::{Path, PathBuf};

use anyhow::Context;
use rayon::prelude::*;
use tracing::{info, warn};

use super::arguments::RunArguments;
use super::progress::Progress;
use super::settings::RunSettings;
use crate::cli::exit_code::{EXIT_ERRORED, EXIT_FAILED, EXIT_INTERRUPTED, EXIT_PASSED, EXIT_USAGE};
use crate::cli::runtime::runtime;
use crate::cli::{inputs, output};
use crate::eval_set::EvalSet;
use crate::evaluation::config::OutputFormat;
use crate::evaluation::{Evaluator, Report, Verdict, evaluate};
use crate::reports::printable;
use crate::trace::{self, Document, Join, Loaded, Trace};

/// Runs the command and returns the exit code.
pub(in crate::cli) fn run(arguments: &RunArguments) -> anyhow::Result<u8> {
    let settings = RunSettings::new(arguments)?;
    let exporter = arguments.otel_export.exporter()?;
    let files = inputs::expand(&arguments.traces)?;
    if let Some(jobs) = arguments.jobs {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(usize::from(jobs));
        pool.build_global().context("starting threads")?;
    }
    let mut errors = Vec::new();
    let eval_set = match settings.eval_set.as_deref().map(read_eval_set).transpose() {
        Ok(eval_set) => eval_set,
        // The reference goes on without; a table of metrics that were not compared would only bury the error.
        Err(error) if settings.plan.lenient => {
            errors.push(format!("{error:#}"));
            None
        }
        Err(error) => return Err(error),
    };
    let documents = read_documents(&files, arguments.max_input_bytes, &mut errors);
    let loaded = load(&documents, files.len(), &settings, &mut errors);
    let Some(mut report) = evaluate_interruptibly(&loaded.traces, eval_set.as_ref(), &settings)? else {
        eprintln!("error: interrupted");
        return Ok(EXIT_INTERRUPTED);
    };
    // A summary lists the errors itself.
    if settings.output != OutputFormat::Summary {
        errors.iter().for_each(|error| eprintln!("error: {}", printable(error)));
    }
    let has_bad_input = !errors.is_empty();
    report.add_reading(errors, loaded.warnings);
    output::print_report(&report, settings.output)?;
    if let Some(exporter) = exporter {
        let eval_set_id = eval_set.as_ref().map(|set| &*set.id);
        // A collector that refuses the results changes neither them nor the exit code.
        if let Err(error) = runtime()?.block_on(exporter.export(&report, eval_set_id)) {
            warn!("{error}");
        }
    }
    let code = if has_bad_input { EXIT_USAGE } else { exit_code(report.verdict) };
    // The process is about to end; freeing a large recording span by span would only delay that.
    std::mem::forget((loaded.traces, report));
    Ok(code)
}

fn exit_code(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Passed => EXIT_PASSED,
        Verdict::Failed => EXIT_FAILED,
        Verdict::Errored => EXIT_ERRORED,
    }
}

fn read_eval_set(path: &Path) -> anyhow::Result<EvalSet> {
    let reading = || format!("reading eval set `{}`", path.display());
    let document = inputs::read(path, inputs::MAX_EVAL_SET_BYTES, "split it")
        .map_err(anyhow::Error::msg)
        .with_context(reading)?;
    EvalSet::parse(document.text()).with_context(reading)
}

/// Reads the files, several of them in parallel; those that cannot be read are added to `errors`.
fn read_documents(files: &[PathBuf], max_bytes: u64, errors: &mut Vec<String>) -> Vec<Document> {
    let remedy = "split it or raise --max-input-bytes";
    let read = |file: &PathBuf| inputs::read(file, max_bytes, remedy);
    let results: Vec<_> = match files.len() {
        // A single file is itself read by all threads, which must not wait for each other.
        1 => files.iter().map(read).collect(),
        _ => files.par_iter().map(read).collect(),
    };
    let mut documents = Vec::with_capacity(results.len());
    for result in results {
        match result {
            Ok(document) => documents.push(document),
            Err(error) => errors.push(error),
        }
    }
    documents
}

/// Finds the traces in the documents; adds to `errors` the documents that are faulty, and inputs without any span.
fn load<'a>(
    documents: &'a [Document],
    file_count: usize,
    settings: &RunSettings,
    errors: &mut Vec<String>,
) -> Loaded<'a> {
    let join = if settings.plan.lenient { Join::WithinDocuments } else { Join::AcrossDocuments };
    let loaded = trace::load(documents, settings.format, join);
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
    let is_all_read = loaded.errors.is_empty() && documents.len() == file_count;
    if loaded.traces.is_empty() && is_all_read {
        errors.push(match loaded.log_records {
            0 => "no traces were read: the inputs hold no spans".to_owned(),
            logs => format!("no traces were read, only {logs} log records; give the file with the spans too"),
        });
    }
    loaded
}

/// Evaluates; `None` if a signal came first. Only custom evaluators make it listen for signals: it kills their process
/// groups, where the default would leave them running.
fn evaluate_interruptibly(
    traces: &[Trace<'_>],
    eval_set: Option<&EvalSet>,
    settings: &RunSettings,
) -> anyhow::Result<Option<Report>> {
    let progress = Progress::new();
    let evaluation = evaluate(traces, eval_set, &settings.plan, &progress, &|| false);
    let has_custom = settings.plan.evaluators.iter().any(Evaluator::is_custom);
    let report = runtime()?.block_on(async {
        if !has_custom {
            return Ok(evaluation.await);
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
