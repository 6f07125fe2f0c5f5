//! Execution of runs: the reference's recorded submissions, partial results, code evaluators, cancellation.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use agentevals::evaluation::config::CodeRule;
use agentevals::evaluators::CodePolicy;
use agentevals::ids::RunId;
use agentevals::names::name_of;
use agentevals::queue::{Evaluation, ExecutedRun, ExecutionError, Executor, UnitResults};
use agentevals::runs::{EvaluatorType, ResultRecord, ResultStatus, Verdict};
use agentevals::spec::{Submission, SubmissionRules};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::support::runs::{claimed, resources};

/// A recorded submission with what came of it.
pub(crate) fn fixture(name: &str) -> Value {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/http");
    serde_json::from_str(&fs::read_to_string(folder.join(name).with_extension("json")).unwrap()).unwrap()
}

/// The submission of a fixture, with the threshold that the reference takes when none is given: here every turn would
/// have to match then.
pub(crate) fn recorded_submission(recorded: &Value) -> Value {
    let mut submission = recorded["submission"].clone();
    for config in ["evalConfig", "eval_config"] {
        let evaluators =
            submission["spec"].get_mut(config).and_then(|config| config["evaluators"].as_array_mut());
        for evaluator in evaluators.into_iter().flatten() {
            if evaluator["name"] == "tool_trajectory_avg_score" && evaluator["threshold"].is_null() {
                evaluator["threshold"] = json!(0.5);
            }
        }
    }
    submission
}

fn submit(body: &str) -> Submission {
    let rules = SubmissionRules { code: CodeRule::BelowDirectory, ..SubmissionRules::default() };
    Submission::parse(body, &rules).unwrap_or_else(|error| panic!("{error}"))
}

fn execute(run: &Submission, code: CodePolicy) -> (Result<ExecutedRun, ExecutionError>, Vec<UnitResults>) {
    let seen = Mutex::new(Vec::new());
    let observer = |unit| seen.lock().unwrap().push(unit);
    let outcome = runtime().block_on(async {
        let cancel = CancellationToken::new();
        Evaluation::new(resources(code)).execute(&claimed(run.id, &run.spec), &observer, &cancel).await
    });
    (outcome, seen.into_inner().unwrap())
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

/// A result as the reference answers it, without times.
fn answered(run: RunId, result: &ResultRecord) -> Value {
    json!({
        "resultId": result.id(run),
        "runId": run.to_string(),
        "evalSetItemId": result.item_id,
        "evalSetItemName": result.item_name,
        "evaluatorName": result.evaluator_name,
        "evaluatorType": name_of(&EvaluatorType::NAMES, &result.evaluator_type),
        "status": name_of(&ResultStatus::NAMES, &result.status),
        "score": result.score,
        "perInvocationScores": result.per_invocation_scores,
        "traceId": result.trace_id,
        "spanId": result.span_id,
        "details": serde_json::from_str::<Value>(result.details.as_ref().unwrap().get()).unwrap(),
        "errorText": result.error_text,
        "tokensUsed": null,
    })
}

/// Whether everything `wanted` says is in `found`; objects may say more.
pub(crate) fn holds(found: &Value, wanted: &Value) -> bool {
    match (found, wanted) {
        (Value::Object(found), Value::Object(wanted)) => {
            wanted.iter().all(|(key, wanted)| found.get(key).is_some_and(|found| holds(found, wanted)))
        }
        (Value::Array(found), Value::Array(wanted)) => {
            found.len() == wanted.len()
                && found.iter().zip(wanted).all(|(found, wanted)| holds(found, wanted))
        }
        (Value::Number(found), Value::Number(wanted)) => found.as_f64() == wanted.as_f64(),
        _ => found == wanted,
    }
}

#[test]
fn recorded_submissions_come_out_as_in_the_reference() {
    for name in ["one-turn", "camel-jaeger", "minimal", "multi-turn"] {
        let recorded = fixture(name);
        let run = submit(&recorded_submission(&recorded).to_string());
        let (outcome, seen) = execute(&run, CodePolicy::Refused);
        let outcome = outcome.unwrap();
        let summary = serde_json::to_value(&outcome.summary).unwrap();
        let wanted = &recorded["summary"];
        assert!(holds(&summary, wanted), "{name}\n{summary:#}\nwanted {wanted:#}");
        if let Some(wanted) = recorded.get("results") {
            let results = outcome.results.iter().map(|result| answered(run.id, result)).collect();
            assert!(holds(&results, wanted), "{name}\n{results:#}\nwanted {wanted:#}");
        }
        assert_eq!(seen.len(), 1, "{name}");
        assert_eq!((seen[0].progress.done, seen[0].progress.total, outcome.total), (1, 1, 1));
    }
}

#[test]
fn a_metric_that_does_not_exist_is_refused_before_the_run_is_stored() {
    let body = fixture("unknown-metric")["submission"].to_string();
    let error = Submission::parse(&body, &SubmissionRules::default()).unwrap_err().to_string();
    assert!(error.contains("$.spec.eval_config.evaluators[0]: unknown metric `no_such`"), "{error}");
}

#[test]
fn what_is_not_evaluated_does_not_pass() {
    let run = submit(&fixture("minimal")["submission"].to_string());
    let outcome = execute(&run, CodePolicy::Refused).0.unwrap();
    assert_eq!(outcome.verdict, Verdict::Errored);
    assert_eq!(outcome.results[0].status, ResultStatus::Skipped);
}

#[test]
fn a_stored_specification_that_cannot_be_used_fails_for_good() {
    let code = |spec: &str| {
        let claimed = claimed(RunId::new_v7(), spec);
        let cancel = CancellationToken::new();
        let outcome = runtime().block_on(async {
            Evaluation::new(resources(CodePolicy::Refused)).execute(&claimed, &|_| {}, &cancel).await
        });
        match outcome {
            Err(ExecutionError::Permanent(failure)) => failure.code,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(code("{"), "bad_spec");
    assert_eq!(code("{}"), "bad_spec");
    assert_eq!(code(r#"{"target":{"kind":"inline","inline":{"foo":1}}}"#), "bad_trace");
    assert_eq!(code(r#"{"target":{"kind":"inline","inline":{"resourceSpans":[]}}}"#), "no_traces");
}

/// A folder of evaluators.
struct Evaluators(tempfile::TempDir);

impl Evaluators {
    fn new(scripts: &[(&str, &str)]) -> Self {
        let folder = tempfile::TempDir::new().unwrap();
        for (name, script) in scripts {
            fs::write(folder.path().join(name), script).unwrap();
        }
        Self(folder)
    }

    fn policy(&self) -> CodePolicy {
        CodePolicy::Below(self.path().to_owned())
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

/// A submission of the one-turn recording with these evaluators.
fn with_evaluators(evaluators: &Value) -> Submission {
    let mut body = fixture("one-turn")["submission"].clone();
    body["spec"]["eval_config"] = json!({"evaluators": evaluators});
    submit(&body.to_string())
}

#[test]
fn code_evaluators_run_beside_metrics_and_their_failures_stay_theirs() {
    let folder = Evaluators::new(&[
        ("ok.py", "print('{\"score\": 0.75, \"per_invocation_scores\": [0.75]}')"),
        ("exit3.py", "import sys\nsys.stderr.write('boom')\nsys.exit(3)"),
    ]);
    let run = with_evaluators(&json!([
        {"name": "exit3", "type": "code", "path": "exit3.py"},
        {"name": "tool_trajectory_avg_score", "type": "builtin"},
        {"name": "ok", "type": "code", "path": "ok.py"},
    ]));
    let (outcome, seen) = execute(&run, folder.policy());
    let outcome = outcome.unwrap();
    let of = |result: &ResultRecord| (result.ordinal, result.evaluator_type, result.status, result.score);
    assert_eq!(
        outcome.results.iter().map(of).collect::<Vec<_>>(),
        [
            (0, EvaluatorType::Code, ResultStatus::Errored, None),
            (1, EvaluatorType::Builtin, ResultStatus::Passed, Some(1.0)),
            (2, EvaluatorType::Code, ResultStatus::Passed, Some(0.75)),
        ]
    );
    assert!(outcome.results[0].error_text.as_ref().unwrap().contains("boom"));
    assert_eq!(seen[0].results.len(), 3);
    assert_eq!(outcome.verdict, Verdict::Errored);
    let refused = execute(&run, CodePolicy::Refused).0.unwrap();
    assert!(refused.results[2].error_text.as_ref().unwrap().contains("refused"));
    assert_eq!(refused.results[1].status, ResultStatus::Passed);
}

/// A script that writes its process id to a file beside it and waits.
const SLOW: &str = "import os, time
path = os.path.dirname(os.path.abspath(__file__))
open(path + '/pid.tmp', 'w').write(str(os.getpid()))
os.rename(path + '/pid.tmp', path + '/pid')
time.sleep(60)
";

fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + Duration::from_secs(30);
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < until, "{what} did not happen");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn is_running(process: &Path) -> bool {
    // A process that was killed may wait as a zombie until the runtime reaps it.
    fs::read_to_string(process.join("stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

#[test]
fn cancelling_and_dropping_kill_the_evaluator() {
    for is_dropped in [false, true] {
        let folder = Evaluators::new(&[("slow.py", SLOW)]);
        let run = with_evaluators(&json!([{"name": "slow", "type": "code", "path": "slow.py"}]));
        let (claimed, cancel) = (claimed(run.id, &run.spec), CancellationToken::new());
        let (policy, token) = (folder.policy(), cancel.clone());
        let runtime = runtime();
        let task = runtime.spawn(async move {
            Evaluation::new(resources(policy)).execute(&claimed, &|_| {}, &token).await
        });
        let pid = wait_for("the start", || fs::read_to_string(folder.path().join("pid")).ok());
        let process = PathBuf::from("/proc").join(pid);
        assert!(is_running(&process));
        match is_dropped {
            true => task.abort(),
            false => cancel.cancel(),
        }
        let cancelled = Instant::now();
        match (runtime.block_on(task), is_dropped) {
            (Err(error), true) => assert!(error.is_cancelled()),
            (Ok(outcome), false) => assert_eq!(outcome.unwrap_err(), ExecutionError::Cancelled),
            (other, _) => panic!("{other:?}"),
        }
        wait_for("the end", || (!is_running(&process)).then_some(()));
        assert!(cancelled.elapsed() < Duration::from_secs(5));
    }
}

#[test]
fn units_are_told_of_as_they_finish_with_all_their_results() {
    let folder = Evaluators::new(&[("mine.py", "print('{\"score\": 1}')")]);
    let mut body = fixture("one-turn")["submission"].clone();
    body["spec"]["eval_config"] = json!({"maxConcurrentEvals": 1, "evaluators": [
        {"name": "mine", "type": "code", "path": "mine.py"},
        {"name": "response_match_score", "type": "builtin"},
    ]});
    let resources = &mut body["spec"]["target"]["inline"]["resourceSpans"];
    let other = resources.to_string().replace("c9d9481f4d5aa027", "d9d9481f4d5aa027");
    let other: Vec<Value> = serde_json::from_str(&other).unwrap();
    resources.as_array_mut().unwrap().extend(other);
    let (outcome, seen) = execute(&submit(&body.to_string()), folder.policy());
    let outcome = outcome.unwrap();
    let told = |unit: &UnitResults| {
        let ordinals: Vec<_> = unit.results.iter().map(|result| result.ordinal).collect();
        assert!(unit.results.iter().all(|result| result.status == ResultStatus::Passed), "{unit:?}");
        (unit.progress.done, unit.progress.total, ordinals)
    };
    assert_eq!(seen.iter().map(told).collect::<Vec<_>>(), [(1, 2, vec![0, 1]), (2, 2, vec![2, 3])]);
    let ordinals: Vec<_> = outcome.results.iter().map(|result| result.ordinal).collect();
    assert_eq!((ordinals, outcome.total, outcome.verdict), (vec![0, 1, 2, 3], 2, Verdict::Passed));
}
