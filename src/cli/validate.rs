//! `agentevals validate`: check eval sets and configurations without scoring anything.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;

use super::{EXIT_PASSED, EXIT_USAGE, inputs};
use crate::eval_set::EvalSet;
use crate::evaluation::config::{ConfigError, EvalConfig};
use crate::json;

/// Check eval sets (JSON) and evaluation configurations (YAML) without scoring anything
///
/// Exit code: 0 when every file is good, 2 when one is not.
#[derive(Debug, Args)]
pub struct ValidateArguments {
    /// Eval sets and configurations
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

/// Largest file that is read.
const MAX_BYTES: u64 = 256 << 20;

/// Runs the command and returns the exit code.
pub(super) fn validate(arguments: &ValidateArguments) -> anyhow::Result<u8> {
    let mut out = std::io::stdout().lock();
    let mut code = EXIT_PASSED;
    for file in inputs::expand(&arguments.files)? {
        let (what, problems) = check(&file);
        let name = file.display();
        if problems.is_empty() {
            writeln!(out, "{name}: ok, {what}")?;
            continue;
        }
        code = EXIT_USAGE;
        for problem in problems {
            writeln!(out, "{name}: {problem}")?;
        }
    }
    Ok(code)
}

/// What a file is, and what is wrong with it.
fn check(path: &Path) -> (String, Vec<String>) {
    let document = match inputs::read(path, MAX_BYTES) {
        Ok(document) => document,
        Err(error) => return (String::new(), vec![error]),
    };
    let text = document.text();
    let is_config = match json::parse(text) {
        Ok(value) => value.get("evaluators").is_some(),
        Err(_) => !text.trim_start().starts_with('{'),
    };
    if is_config { check_config(path, text) } else { check_eval_set(text) }
}

fn check_eval_set(text: &str) -> (String, Vec<String>) {
    match EvalSet::parse(text) {
        Ok(set) => {
            let what = format!("eval set `{}`, {}", set.id, counted(set.cases.len(), "case"));
            (what, set.lint().iter().map(ToString::to_string).collect())
        }
        Err(error) => (String::new(), error.problems()),
    }
}

fn check_config(path: &Path, text: &str) -> (String, Vec<String>) {
    let config = match EvalConfig::parse(text) {
        Ok(config) => config,
        Err(ConfigError::Schema(problems)) => {
            return (String::new(), problems.iter().map(ToString::to_string).collect());
        }
        Err(error) => return (String::new(), vec![error.to_string()]),
    };
    let directory = path.parent().unwrap_or(Path::new(""));
    let mut problems = Vec::new();
    let evaluators = config.evaluators.unwrap_or_default();
    for (index, spec) in evaluators.iter().enumerate() {
        if let crate::evaluation::config::SpecKind::Code(code) = &spec.kind
            && !directory.join(&code.path).is_file()
        {
            problems.push(format!("$.evaluators[{index}].path: there is no file `{}`", code.path));
        }
    }
    if let Some(eval_set) = &config.eval_set
        && !directory.join(eval_set).is_file()
    {
        problems.push(format!("$.eval_set: there is no file `{eval_set}`"));
    }
    (format!("configuration, {}", counted(evaluators.len(), "evaluator")), problems)
}

/// `1 case`, `2 cases`.
fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}
