//! Reads configuration files.

use super::evaluators::read_evaluators;
use super::members::{OLD_MEMBERS, read_concurrency, read_format, refuse};
use super::spec::{CodeRule, EvaluatorSpec};
use crate::evaluation::units::GroupBy;
use crate::json::checked::{Cursor, Fault, Faults, Spelling};
use crate::json::{self, SyntaxError};
use crate::trace::Format;

/// Why a document is not an evaluation configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// It is neither YAML nor JSON.
    #[error(transparent)]
    Syntax(#[from] SyntaxError),
    /// It does not fit the schema; at least one fault.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Schema(Vec<Fault>),
}

/// A checked configuration; `None` for members that it leaves out.
#[derive(Debug, Clone, Default)]
pub struct EvalConfig {
    /// The evaluators, at least one.
    pub evaluators: Option<Vec<EvaluatorSpec>>,
    /// Path of the golden eval set, relative to the configuration.
    pub eval_set: Option<String>,
    /// Trace format, instead of detecting it.
    pub trace_format: Option<Format>,
    /// How to print results.
    pub output_format: Option<OutputFormat>,
    /// How traces are grouped into evaluation units.
    pub group_by: Option<GroupBy>,
    /// How many custom evaluators run at the same time.
    pub max_concurrent_evals: Option<usize>,
}

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum OutputFormat {
    Table,
    Json,
    Summary,
}

impl OutputFormat {
    /// The names used in configurations.
    pub const NAMES: [(&'static str, Self); 3] =
        [("table", Self::Table), ("json", Self::Json), ("summary", Self::Summary)];
}

impl EvalConfig {
    /// Reads a configuration from YAML or JSON.
    ///
    /// # Errors
    /// All faults of the document, each with its path.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let document = json::parse_yaml(text)?;
        let faults = Faults::default();
        let config = read_config(&Cursor::root(&document, &faults));
        let faults = faults.into_vec();
        match config {
            Some(config) if faults.is_empty() => Ok(config),
            _ => Err(ConfigError::Schema(faults)),
        }
    }
}

fn read_config(cursor: &Cursor<'_, '_>) -> Option<EvalConfig> {
    let object = cursor.object(Spelling::SnakeOrCamel)?;
    refuse(&object, "no longer read", &OLD_MEMBERS);
    let evaluators = object.optional("evaluators", |list| read_evaluators(list, CodeRule::Trusted));
    let output_format = object.optional("output_format", read_output);
    let output = object.optional("output", read_output);
    if output_format.is_some() && output.is_some() {
        cursor.fault("`output` and `output_format` mean the same; leave one out");
    }
    let output_format = output_format.or(output);
    let config = EvalConfig {
        evaluators,
        eval_set: object.optional("eval_set", |path| path.string()),
        trace_format: object.optional("trace_format", read_format),
        output_format,
        group_by: object.optional("group_by", |group_by| group_by.choice(&GroupBy::NAMES)),
        max_concurrent_evals: object.optional("max_concurrent_evals", read_concurrency),
    };
    object.refuse_unknown();
    Some(config)
}

fn read_output(cursor: &Cursor<'_, '_>) -> Option<OutputFormat> {
    cursor.choice(&OutputFormat::NAMES)
}

#[cfg(test)]
mod tests {
    use super::super::spec::SpecKind;
    use super::*;
    use crate::metrics::catalog::Builtin;
    use crate::metrics::trajectory::{ArgsMode, MatchType};

    fn faults(text: &str) -> Vec<String> {
        match EvalConfig::parse(text) {
            Err(ConfigError::Schema(faults)) => faults.iter().map(ToString::to_string).collect(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn every_option_of_an_evaluator_is_read() {
        let config = EvalConfig::parse(
            "evaluators:
  - name: tool_trajectory_avg_score
    type: builtin
    threshold: 0.9
    trajectoryMatchType: subset
    trajectory_args: superset
    trajectory_paths: {$.at: any, '$.n[*]': {tolerance: 0.5}}
    trajectory_tools:
      search: ignore
      book: {args: subset, paths: {$.city: case_insensitive, $.id: {regex: '^b-'}}}
  - {name: mine, type: code, path: ./mine.py, timeout: 5, config: {a: [1]}, env: [MY_KEY]}
eval_set: golden.json
trace_format: otlp-json
output: json
group_by: trace
",
        )
        .unwrap();
        let specs = config.evaluators.unwrap();
        let SpecKind::Builtin { metric: Builtin::Trajectory, trajectory } = &specs[0].kind else { panic!() };
        assert_eq!(trajectory.match_type, MatchType::Subset);
        assert_eq!((trajectory.args.mode, trajectory.args.paths.len()), (ArgsMode::Superset, 2));
        assert_eq!(trajectory.tools["search"].mode, ArgsMode::Ignore);
        assert_eq!(trajectory.tools["book"].paths.len(), 2);
        let SpecKind::Code(code) = &specs[1].kind else { panic!() };
        assert_eq!((code.timeout_s, &*code.env), (5, &["MY_KEY".to_owned()][..]));
        assert_eq!(config.output_format, Some(OutputFormat::Json));
        assert_eq!(config.group_by, Some(GroupBy::Trace));
    }

    #[test]
    fn mistakes_are_located_and_explained() {
        for (text, fault) in [
            ("evaluators: []", "$.evaluators: at least one"),
            ("evaluator: []", "$.evaluator: unknown member; did you mean `evaluators`?"),
            ("threshold: 1", "$.threshold: no longer read"),
            ("evaluators: [{name: x, type: builtin}]", "$.evaluators[0]: unknown metric `x`"),
            ("evaluators: [{name: x, type: remote}]", "use `type: code`"),
            ("evaluators: [{name: x, type: openai_eval}]", "removed"),
            ("evaluators: [{name: x, type: code, path: x.sh}]", "$.evaluators[0].path: `x.sh` is no .py"),
            (
                "evaluators: [{name: x, type: code, path: x.py, timeout: 0}]",
                "timeout: 0 is outside 1..=86400",
            ),
            (
                "evaluators: [{name: response_match_score, type: builtin, threshold: 2}]",
                "$.evaluators[0].threshold: threshold 2 is outside",
            ),
            ("evaluators: [{name: token_usage_v1, type: builtin, threshold: 1}]", "takes no `threshold`"),
            (
                "evaluators: [{name: response_match_score, type: builtin, judge_model: m}]",
                "judge_model: `response_match_score` asks no judge",
            ),
            (
                "evaluators: [{name: a, type: code, path: a.py}, {name: a, type: code, path: a.py}]",
                "the name `a` is used twice",
            ),
            (
                "evaluators: [{name: tool_trajectory_avg_score, type: builtin, trajectory_paths: {x: any}}]",
                "`x` is no path",
            ),
        ] {
            let found = faults(text).join("\n");
            assert!(found.contains(fault), "{text}\n{found}");
        }
    }
}
