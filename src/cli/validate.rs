//! `agentevals validate`: check eval sets and configurations without scoring anything.

use std::path::{Path, PathBuf};

use clap::Args;

use super::exit_code::{EXIT_PASSED, EXIT_USAGE};
use super::inputs::{self, MAX_CONFIG_BYTES, MAX_EVAL_SET_BYTES};
use super::output::print_lines;
use crate::eval_set::EvalSet;
use crate::evaluation::config::{ConfigError, EvalConfig, SpecKind};
use crate::json;
use crate::reports::counted;

/// Check eval sets (JSON) and evaluation configurations (YAML) without scoring anything
///
/// Exit code: 0 when every file is good, 2 when one is not.
#[derive(Debug, Args)]
pub struct ValidateArguments {
    /// Eval sets and configurations
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

/// Runs the command and returns the exit code.
pub(super) fn validate(arguments: &ValidateArguments) -> anyhow::Result<u8> {
    let mut code = EXIT_PASSED;
    let mut lines = Vec::new();
    for file in inputs::expand(&arguments.files)? {
        let name = file.display();
        match check(&file) {
            Ok(Good { description, warnings }) => {
                lines.push(format!("{name}: ok, {description}"));
                lines.extend(warnings.iter().map(|warning| format!("{name}: warning: {warning}")));
            }
            Err(faults) => {
                code = EXIT_USAGE;
                lines.extend(faults.iter().map(|fault| format!("{name}: {fault}")));
            }
        }
    }
    print_lines(&lines)?;
    Ok(code)
}

/// A file without faults.
struct Good {
    description: String,
    /// Oddities that do no harm.
    warnings: Vec<String>,
}

/// Checks one file: a description of it, or all its faults.
fn check(path: &Path) -> Result<Good, Vec<String>> {
    let document = inputs::read(path, MAX_EVAL_SET_BYTES, "split it").map_err(|error| vec![error])?;
    let text = document.text();
    let has = |value: &json::Value<'_>, names: [&str; 4]| names.iter().any(|name| value.get(name).is_some());
    match json::parse(text) {
        Ok(value) if has(&value, ["eval_set_id", "eval_cases", "evalSetId", "evalCases"]) => {
            check_eval_set(text)
        }
        Err(error) if looks_like_json(text) => Err(vec![error.to_string()]),
        _ => match json::parse_yaml(text) {
            Ok(json::Value::Map(_)) if text.len() as u64 <= MAX_CONFIG_BYTES => check_config(path, text),
            Ok(json::Value::Map(_)) => {
                Err(vec![format!("a configuration of more than {MAX_CONFIG_BYTES} bytes")])
            }
            Ok(_) => Err(vec!["neither an eval set nor a configuration".to_owned()]),
            Err(error) => Err(vec![error.to_string()]),
        },
    }
}

/// Whether malformed JSON was meant as JSON and not as YAML: its first key is quoted.
fn looks_like_json(text: &str) -> bool {
    text.trim_start().strip_prefix('{').is_some_and(|inside| inside.trim_start().starts_with('"'))
}

fn check_eval_set(text: &str) -> Result<Good, Vec<String>> {
    let set = EvalSet::parse(text).map_err(|error| error.faults())?;
    let description = format!("eval set `{}`, {}", set.id, counted(set.cases.len(), "case"));
    let warnings = set.null_members.iter().map(ToString::to_string).collect();
    unless_faulty(set.lint().iter().map(ToString::to_string).collect(), Good { description, warnings })
}

fn check_config(path: &Path, text: &str) -> Result<Good, Vec<String>> {
    let config = EvalConfig::parse(text).map_err(|error| match error {
        ConfigError::Schema(faults) => faults.iter().map(ToString::to_string).collect(),
        ConfigError::Syntax(error) => vec![error.to_string()],
    })?;
    let directory = path.parent().unwrap_or(Path::new(""));
    let mut faults = Vec::new();
    let evaluators = config.evaluators.unwrap_or_default();
    for (index, spec) in evaluators.iter().enumerate() {
        if let SpecKind::Code(code) = &spec.kind
            && !directory.join(&code.path).is_file()
        {
            faults.push(format!("$.evaluators[{index}].path: there is no file `{}`", code.path));
        }
    }
    if let Some(eval_set) = &config.eval_set
        && !directory.join(eval_set).is_file()
    {
        faults.push(format!("$.eval_set: there is no file `{eval_set}`"));
    }
    let description = format!("configuration, {}", counted(evaluators.len(), "evaluator"));
    unless_faulty(faults, Good { description, warnings: Vec::new() })
}

/// The good file, if there are no faults.
fn unless_faulty(faults: Vec<String>, good: Good) -> Result<Good, Vec<String>> {
    if faults.is_empty() { Ok(good) } else { Err(faults) }
}
