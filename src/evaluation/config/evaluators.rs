//! Reads the entries under `evaluators`.

use std::collections::HashSet;
use std::path::{Component, Path};

use super::spec::{CodeRule, CodeSpec, EvaluatorSpec, SpecKind};
use crate::json::checked::{Cursor, Object, Spelling};
use crate::json::{Map, Value};
use crate::metrics::catalog::{self, Builtin};
use crate::metrics::trajectory::{ArgsMode, ArgsRule, MatchType, Matcher, PathPattern, TrajectoryOptions};

/// Default time limit of a code evaluator, as in the reference.
const DEFAULT_TIMEOUT_S: i64 = 30;

/// The fault of a code evaluator where they are refused.
const CODE_REFUSED: &str =
    "code evaluators are refused: the server has no directory of evaluators; use built-in metrics";

/// Reads the list: at least one evaluator, with different names.
pub(super) fn read_evaluators(list: &Cursor<'_, '_>, rule: CodeRule) -> Option<Vec<EvaluatorSpec>> {
    let specs = list.list(|entry| read_evaluator(entry, rule))?;
    if list.value().as_list().is_some_and(<[_]>::is_empty) {
        list.fault("at least one evaluator is needed; leave the member out for the default metric");
    }
    let mut names = HashSet::new();
    for spec in specs.iter().filter(|spec| !names.insert(&spec.name)) {
        list.fault(format!("the name `{}` is used twice", spec.name));
    }
    Some(specs)
}

fn read_evaluator(cursor: &Cursor<'_, '_>, rule: CodeRule) -> Option<EvaluatorSpec> {
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
        "code" if rule == CodeRule::Refused => {
            cursor.fault(CODE_REFUSED);
            return None;
        }
        "code" => read_code(&object, rule)?,
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

/// Reads the rule for the arguments of one tool: a mode, or `{args, paths}`.
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

fn read_code(object: &Object<'_, '_>, rule: CodeRule) -> Option<SpecKind> {
    let path = object.required("path", |path| {
        let text = path.string()?;
        let extension = text.rsplit('.').next().unwrap_or_default().to_ascii_lowercase();
        if !matches!(&*extension, "py" | "js" | "ts") {
            path.fault(format!("`{text}` is no .py, .js or .ts file"));
        }
        if rule == CodeRule::BelowDirectory && !is_below(&text) {
            path.fault(format!(
                "`{text}` leads out of the server's directory of evaluators; give a path below it"
            ));
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
    let env = object.optional("env", |names| {
        if rule == CodeRule::BelowDirectory {
            names.fault("evaluators see nothing of the server's environment; leave `env` out");
        }
        names.list(|name| name.string())
    });
    Some(SpecKind::Code(CodeSpec {
        path: path?,
        timeout_s: timeout.unwrap_or(DEFAULT_TIMEOUT_S).unsigned_abs(),
        config: config.unwrap_or_else(|| Value::Map(Map::default())),
        env: env.unwrap_or_default(),
    }))
}

/// Whether a path, as written, cannot leave the directory that it is relative to.
fn is_below(path: &str) -> bool {
    Path::new(path).components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir))
}
