//! The evaluation configuration: a YAML or JSON document naming evaluators.

use std::collections::HashSet;

use super::GroupBy;
use crate::json::checked::{Cursor, Object, Problem, Problems, Spelling};
use crate::json::{self, SyntaxError, Value};
use crate::metrics::catalog::{self, Builtin};
use crate::metrics::trajectory::{ArgsMode, ArgsRule, MatchType, Matcher, PathPattern, TrajectoryOptions};
use crate::trace::Format;

/// Why a document is no evaluation configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// It is neither YAML nor JSON.
    #[error(transparent)]
    Syntax(#[from] SyntaxError),
    /// It says something that is not understood; at least one fault.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Schema(Vec<Problem>),
}

/// A configuration as written, checked.
#[derive(Debug, Clone, Default)]
pub struct EvalConfig {
    /// The evaluators, if any are named.
    pub evaluators: Option<Vec<EvaluatorSpec>>,
    /// Path of the golden eval set, relative to the configuration.
    pub eval_set: Option<String>,
    /// Trace format to assume.
    pub trace_format: Option<Format>,
    /// How to print results.
    pub output_format: Option<OutputFormat>,
    /// What is evaluated together.
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

/// One evaluator as written.
#[derive(Debug, Clone)]
pub struct EvaluatorSpec {
    /// Name, unique in the configuration.
    pub name: String,
    /// Score from which it passes, 0.5 when it is not given.
    pub threshold: Option<f64>,
    /// What it is.
    pub kind: SpecKind,
}

/// What an evaluator is.
#[derive(Debug, Clone)]
pub enum SpecKind {
    /// A metric of this program.
    Builtin {
        /// Which.
        metric: Builtin,
        /// For the trajectory metric.
        trajectory: TrajectoryOptions,
    },
    /// A program that speaks the evaluator protocol.
    Code(CodeSpec),
}

/// A program that speaks the evaluator protocol.
#[derive(Debug, Clone)]
pub struct CodeSpec {
    /// Path as written, relative to the configuration.
    pub path: String,
    /// Seconds after which it is killed.
    pub timeout_s: u64,
    /// Passed to it as it is.
    pub config: Value<'static>,
    /// Names of the environment variables it may see besides the harmless ones.
    pub env: Vec<String>,
}

/// Seconds a code evaluator may run when nothing is said, as in the reference.
const DEFAULT_TIMEOUT_S: i64 = 30;

/// Members of old configurations and what took their place.
const OLD_MEMBERS: [(&str, &str); 5] = [
    ("metrics", "list them under `evaluators`"),
    ("custom_evaluators", "list them under `evaluators`"),
    ("judge_model", "give it to the evaluator that uses it"),
    ("threshold", "give it to each evaluator"),
    ("trajectory_match_type", "give it to the evaluator `tool_trajectory_avg_score`"),
];

impl EvalConfig {
    /// Reads a configuration from YAML or JSON.
    ///
    /// # Errors
    /// All faults of the document, each with its path.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let document = json::parse_yaml(text)?;
        let problems = Problems::default();
        let config = read_config(&Cursor::root(&document, &problems));
        let problems = problems.into_vec();
        match config {
            Some(config) if problems.is_empty() => Ok(config),
            _ => Err(ConfigError::Schema(problems)),
        }
    }
}

fn read_config(cursor: &Cursor<'_, '_>) -> Option<EvalConfig> {
    let object = cursor.object(Spelling::SnakeOrCamel)?;
    for (name, remedy) in OLD_MEMBERS {
        object.optional(name, |old| {
            old.fault(format!("no longer read; {remedy}"));
            Some(())
        });
    }
    let evaluators = object.optional("evaluators", |list| {
        let specs = list.list(read_evaluator)?;
        if list.value().as_list().is_some_and(<[_]>::is_empty) {
            list.fault("at least one evaluator is needed; leave the member out for the default metric");
        }
        let mut names = HashSet::new();
        for spec in specs.iter().filter(|spec| !names.insert(spec.name.clone())) {
            list.fault(format!("the name `{}` is used twice", spec.name));
        }
        Some(specs)
    });
    let output_format = object.optional("output_format", read_output);
    let output = object.optional("output", read_output);
    if output_format.is_some() && output.is_some() {
        cursor.fault("`output` and `output_format` mean the same; leave one out");
    }
    let output_format = output_format.or(output);
    let config = EvalConfig {
        evaluators,
        eval_set: object.optional("eval_set", |path| path.string()),
        trace_format: object.optional("trace_format", |format| {
            let text = format.string()?;
            text.parse().map_err(|error: String| format.fault(error)).ok()
        }),
        output_format,
        group_by: object.optional("group_by", |group_by| group_by.choice(&GroupBy::NAMES)),
        max_concurrent_evals: object.optional("max_concurrent_evals", |number| {
            number.integer(1..=256).and_then(|number| usize::try_from(number).ok())
        }),
    };
    object.refuse_unknown();
    Some(config)
}

fn read_output(cursor: &Cursor<'_, '_>) -> Option<OutputFormat> {
    cursor.choice(&OutputFormat::NAMES)
}

fn read_evaluator(cursor: &Cursor<'_, '_>) -> Option<EvaluatorSpec> {
    let object = cursor.object(Spelling::SnakeOrCamel)?;
    let name = object.required("name", |name| {
        let text = name.string()?;
        if text.trim().is_empty() {
            name.fault("must not be blank");
        }
        Some(text)
    });
    let kind = object.required("type", |kind| kind.string());
    let (name, kind) = (name?, kind?);
    let threshold = object.optional("threshold", read_threshold);
    let kind = match &*kind {
        "builtin" => read_builtin(cursor, &object, &name)?,
        "code" => read_code(&object)?,
        "remote" => {
            cursor.fault(
                "`remote` evaluators are not fetched by this version; download the file and use `type: code`",
            );
            return None;
        }
        "openai_eval" => {
            cursor.fault("`openai_eval` was removed with the service behind it; use `builtin` or `code`");
            return None;
        }
        other => {
            cursor.fault(format!("unknown type `{other}`; expected builtin or code"));
            return None;
        }
    };
    if let (Some(_), SpecKind::Builtin { metric, .. }) = (threshold, &kind)
        && !metric.takes_threshold()
    {
        cursor.fault(format!("`{name}` reports a number and takes no `threshold`"));
    }
    object.refuse_unknown();
    Some(EvaluatorSpec { name, threshold, kind })
}

fn read_threshold(cursor: &Cursor<'_, '_>) -> Option<f64> {
    let threshold = cursor.number()?;
    if !(0.0..=1.0).contains(&threshold) {
        cursor.fault(format!("threshold {threshold} is outside 0..=1"));
        return None;
    }
    Some(threshold)
}

fn read_builtin<'v>(cursor: &Cursor<'v, '_>, object: &Object<'v, '_>, name: &str) -> Option<SpecKind> {
    let metric = catalog::find(name).map_err(|error| cursor.fault(error)).ok()?;
    for judge_only in ["judge_model", "judge_base_url", "credential_ref", "rubrics"] {
        object.optional(judge_only, |member| {
            member.fault(format!("`{name}` asks no judge; leave `{judge_only}` out"));
            Some(())
        });
    }
    let match_type = object.optional("trajectory_match_type", |kind| kind.choice(&MatchType::NAMES));
    let mode = object.optional("trajectory_args", |mode| mode.choice(&ArgsMode::NAMES));
    let paths = object.optional("trajectory_paths", read_paths);
    let tools = object.optional("trajectory_tools", |tools| {
        let read = |(name, _): (&std::borrow::Cow<'_, str>, _)| name.to_string();
        let names: Vec<String> = tools.map()?.iter().map(read).collect();
        names.into_iter().map(|name| Some((name.clone(), read_tool(tools, &name)?))).collect()
    });
    let is_configured = match_type.is_some() || mode.is_some() || paths.is_some() || tools.is_some();
    if is_configured && metric != Builtin::Trajectory {
        cursor.fault(format!("`{name}` compares no trajectories; leave the `trajectory_…` members out"));
    }
    let args = ArgsRule { mode: mode.unwrap_or_default(), paths: paths.unwrap_or_default() };
    let trajectory = TrajectoryOptions {
        match_type: match_type.unwrap_or_default(),
        args,
        tools: tools.unwrap_or_default(),
    };
    Some(SpecKind::Builtin { metric, trajectory })
}

/// Reads how the arguments of one tool are compared: a mode, or `{args, paths}`.
fn read_tool(tools: &Cursor<'_, '_>, name: &str) -> Option<ArgsRule> {
    tools.member(name, |tool| {
        if tool.value().as_str().is_some() {
            return Some(ArgsRule { mode: tool.choice(&ArgsMode::NAMES)?, paths: Vec::new() });
        }
        let object = tool.object(Spelling::Snake)?;
        let mode = object.optional("args", |mode| mode.choice(&ArgsMode::NAMES));
        let paths = object.optional("paths", read_paths);
        object.refuse_unknown();
        Some(ArgsRule { mode: mode.unwrap_or_default(), paths: paths.unwrap_or_default() })
    })
}

fn read_paths(cursor: &Cursor<'_, '_>) -> Option<Vec<(PathPattern, Matcher)>> {
    let patterns: Vec<String> = cursor.map()?.iter().map(|(path, _)| path.to_string()).collect();
    let read = |path: String| {
        cursor.member(&path, |matcher| {
            let pattern = path.parse().map_err(|error: String| matcher.fault(error)).ok();
            Some((pattern?, read_matcher(matcher)?))
        })
    };
    Some(patterns.into_iter().filter_map(read).collect())
}

/// Reads `any`, `case_insensitive`, `{regex: …}` or `{tolerance: …}`.
fn read_matcher(cursor: &Cursor<'_, '_>) -> Option<Matcher> {
    if cursor.value().as_str().is_some() {
        let words = [("any", Matcher::Any), ("case_insensitive", Matcher::CaseInsensitive)];
        let index = cursor.choice(&[(words[0].0, 0), (words[1].0, 1)])?;
        return words.into_iter().nth(index).map(|(_, matcher)| matcher);
    }
    let object = cursor.object(Spelling::Snake)?;
    let regex = object.optional("regex", |regex| {
        let text = regex.string()?;
        regex::Regex::new(&text).map_err(|error| regex.fault(error.to_string().replace('\n', " "))).ok()
    });
    let tolerance = object.optional("tolerance", |number| {
        let tolerance = number.number()?;
        if !(tolerance >= 0.0 && tolerance.is_finite()) {
            number.fault("the tolerance must be a number from 0");
        }
        Some(tolerance)
    });
    object.refuse_unknown();
    match (regex, tolerance) {
        (Some(regex), None) => Some(Matcher::Regex(regex)),
        (None, Some(tolerance)) => Some(Matcher::Tolerance(tolerance)),
        _ => {
            cursor.fault("expected `any`, `case_insensitive`, `{regex: …}` or `{tolerance: …}`");
            None
        }
    }
}

fn read_code(object: &Object<'_, '_>) -> Option<SpecKind> {
    let path = object.required("path", |path| {
        let text = path.string()?;
        let extension = text.rsplit('.').next().unwrap_or_default().to_ascii_lowercase();
        if !matches!(&*extension, "py" | "js" | "ts") {
            path.fault(format!("`{text}` is no .py, .js or .ts file"));
        }
        Some(text)
    });
    let timeout = object.optional("timeout", |timeout| timeout.integer(1..=86_400));
    let config =
        object.optional("config", |config| config.map().map(|_| config.value().clone().into_owned()));
    object.optional("executor", |executor| {
        let text = executor.string()?;
        if text != "local" {
            executor.fault(format!("unknown executor `{text}`; expected local"));
        }
        Some(())
    });
    let env = object.optional("env", |names| names.list(|name| name.string()));
    Some(SpecKind::Code(CodeSpec {
        path: path?,
        timeout_s: timeout.unwrap_or(DEFAULT_TIMEOUT_S).unsigned_abs(),
        config: config.unwrap_or_else(|| Value::Map(json::Map::default())),
        env: env.unwrap_or_default(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(text: &str) -> Vec<String> {
        match EvalConfig::parse(text) {
            Err(ConfigError::Schema(problems)) => problems.iter().map(ToString::to_string).collect(),
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
