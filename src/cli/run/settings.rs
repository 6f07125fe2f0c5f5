//! From the arguments of `run` and a configuration file to checked settings.

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};
use tracing::warn;

use super::arguments::{RunArguments, ToolArgsMode};
use crate::cli::inputs;
use crate::evaluation::Plan;
use crate::evaluation::config::{
    DEFAULT_CONCURRENT_EVALS, EvalConfig, EvaluatorSpec, OutputFormat, SpecKind,
};
use crate::evaluators::{CodePolicy, build};
use crate::json::checked::did_you_mean;
use crate::metrics::catalog::{self, Builtin, DEFAULT_METRIC};
use crate::trace::Format;

/// The checked settings of one `run`.
pub(super) struct RunSettings {
    pub(super) plan: Plan,
    pub(super) eval_set: Option<PathBuf>,
    /// The format of all traces; `None` to detect it.
    pub(super) format: Option<Format>,
    pub(super) output: OutputFormat,
}

impl RunSettings {
    /// Combines the command line with the configuration file it names; the command line wins.
    ///
    /// # Errors
    /// Every fault that can be found before a trace is read.
    pub(super) fn new(arguments: &RunArguments) -> anyhow::Result<Self> {
        let files = arguments.traces.iter().chain(&arguments.eval_set).chain(&arguments.config);
        if files.filter(|file| file.as_os_str() == inputs::STDIN).count() > 1 {
            bail!("standard input (`-`) can be read only once");
        }
        let (config, directory) = match &arguments.config {
            Some(path) => (read_config(path)?, path.parent().unwrap_or(Path::new(""))),
            None => (EvalConfig::default(), Path::new("")),
        };
        let specs = select_specs(arguments, config.evaluators)?;
        if arguments.judge_model.is_some() {
            bail!("--judge-model is given but none of the metrics asks a judge; leave it out");
        }
        let policy = CodePolicy::From(directory.to_owned());
        let evaluators = specs.into_iter().map(|spec| build(spec, &policy, arguments.lenient)).collect();
        Ok(Self {
            plan: Plan {
                evaluators,
                group_by: arguments.group_by.or(config.group_by).unwrap_or_default(),
                lenient: arguments.lenient,
                unmatched: arguments.unmatched,
                max_concurrent_evals: config.max_concurrent_evals.unwrap_or(DEFAULT_CONCURRENT_EVALS),
            },
            eval_set: arguments.eval_set.clone().or(config.eval_set.map(|path| directory.join(path))),
            format: arguments.format.or(config.trace_format),
            output: arguments.output.or(config.output_format).unwrap_or(OutputFormat::Table),
        })
    }
}

fn read_config(path: &Path) -> anyhow::Result<EvalConfig> {
    let reading = || format!("reading configuration `{}`", path.display());
    let document = inputs::read(path, inputs::MAX_CONFIG_BYTES, "is it the right file?")
        .map_err(|error| anyhow!(error))
        .with_context(reading)?;
    EvalConfig::parse(document.text()).with_context(reading)
}

/// The evaluators named by `-m` and by the configuration, cut down to those of `--only`.
fn select_specs(
    arguments: &RunArguments,
    configured: Option<Vec<EvaluatorSpec>>,
) -> anyhow::Result<Vec<EvaluatorSpec>> {
    let mut named = Vec::new();
    for name in &arguments.metrics {
        named.push(EvaluatorSpec::builtin(name, catalog::find(name).map_err(|error| anyhow!(error))?));
    }
    // `-t` and the trajectory options apply to the metrics of `-m`; without any, to those of the configuration.
    let (mut specs, reached) = match (configured, named.is_empty()) {
        (Some(configured), true) => (Vec::new(), configured),
        (None, true) => (Vec::new(), vec![EvaluatorSpec::builtin(DEFAULT_METRIC, Builtin::Trajectory)]),
        (configured, false) => {
            let mut others = configured.unwrap_or_default();
            others.retain(|spec| named.iter().all(|metric| metric.name != spec.name));
            (others, named)
        }
    };
    let reached: Vec<_> = reached.into_iter().map(|spec| with_overrides(spec, arguments)).collect();
    warn_unused(arguments, &reached);
    specs.extend(reached);
    let mut seen = std::collections::HashSet::new();
    specs.retain(|spec| seen.insert(spec.name.clone()));
    if !arguments.only.is_empty() {
        for name in &arguments.only {
            if !seen.contains(name) {
                let hint = did_you_mean(name, seen.iter().map(String::as_str));
                bail!("--only: there is no evaluator `{name}`{hint}");
            }
        }
        specs.retain(|spec| arguments.only.contains(&spec.name));
    }
    Ok(specs)
}

/// Applies `-t` and the trajectory options to a built-in metric.
fn with_overrides(mut spec: EvaluatorSpec, arguments: &RunArguments) -> EvaluatorSpec {
    let SpecKind::Builtin { metric, trajectory } = &mut spec.kind else {
        return spec;
    };
    if let (Some(threshold), true) = (arguments.threshold, metric.takes_threshold()) {
        spec.threshold = Some(threshold);
    }
    if *metric == Builtin::Trajectory {
        trajectory.match_type = arguments.trajectory_match_type.unwrap_or(trajectory.match_type);
        for ToolArgsMode { tool, mode } in &arguments.trajectory_args {
            match tool {
                Some(tool) => {
                    let general = || trajectory.args.clone();
                    trajectory.tools.entry(tool.clone()).or_insert_with(general).mode = *mode;
                }
                None => trajectory.args.mode = *mode,
            }
        }
    }
    spec
}

/// Warns of options that apply to none of the metrics.
fn warn_unused(arguments: &RunArguments, specs: &[EvaluatorSpec]) {
    let has = |fits: fn(Builtin) -> bool| {
        specs.iter().any(|spec| matches!(spec.kind, SpecKind::Builtin { metric, .. } if fits(metric)))
    };
    if arguments.threshold.is_some() && !has(Builtin::takes_threshold) {
        warn!("--threshold has no effect: none of the metrics takes one");
    }
    let shapes_trajectory =
        arguments.trajectory_match_type.is_some() || !arguments.trajectory_args.is_empty();
    if shapes_trajectory && !has(|metric| metric == Builtin::Trajectory) {
        warn!(
            "the --trajectory options have no effect: `tool_trajectory_avg_score` is not among the metrics"
        );
    }
}
