//! Custom evaluators: real processes, what they are given, and what happens when they misbehave.

use std::fs;
use std::path::Path;
use std::process::Output;
use std::time::{Duration, Instant};

use assert_cmd::Command;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::agentevals;

/// A folder with a sample trace, its eval set, an evaluator and a configuration that names it.
struct Workshop(TempDir);

impl Workshop {
    fn new(script: &str, options: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("samples");
        for name in ["adk-travel.json", "adk-travel.eval.json"] {
            fs::copy(samples.join(name), folder.path().join(name)).unwrap();
        }
        fs::write(folder.path().join("mine.py"), script).unwrap();
        let config = format!(
            "eval_set: adk-travel.eval.json\nevaluators:\n  - {{name: tool_trajectory_avg_score, type: builtin}}\n  \
             - {{name: mine, type: code, path: ./mine.py{options}}}\n"
        );
        fs::write(folder.path().join("eval.yaml"), config).unwrap();
        Self(folder)
    }

    fn command(&self) -> Command {
        let mut command = agentevals();
        command.args(["run", "adk-travel.json", "-c", "eval.yaml", "-o", "json"]).current_dir(self.0.path());
        command
    }

    /// The result of the custom evaluator, after checking that the built-in metric is unharmed.
    fn result(&self) -> Value {
        let output = self.command().output().unwrap();
        let report = report(&output);
        let metrics = &report["traces"][0]["metrics"];
        assert_eq!(metrics[0]["score"], 1.0, "the metric beside it");
        metrics[1].clone()
    }
}

fn report(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)))
}

#[test]
fn an_evaluator_is_given_both_sides_and_its_answer_is_kept_as_it_is() {
    let script = "import json, sys
d = json.load(sys.stdin)
print(json.dumps({'score': 0.25, 'per_invocation_scores': [0.25],
    'details': {'someKey': [len(d['invocations']), len(d['expected_invocations'])], 'config': d['config']}}))
";
    let result = Workshop::new(script, ", threshold: 0.2, config: {camelCase: {snake_case: 1}}").result();
    assert_eq!(result["eval_status"], "PASSED");
    assert_eq!(
        result["details"],
        serde_json::json!({"someKey": [1, 1], "config": {"camelCase": {"snake_case": 1}}})
    );
}

#[test]
fn its_own_verdict_wins_over_the_threshold() {
    let script = "print('{\"score\": 1, \"status\": \"FAILED\"}')";
    assert_eq!(Workshop::new(script, "").result()["eval_status"], "FAILED");
}

#[test]
fn a_failing_evaluator_is_an_error_of_its_metric_alone() {
    for (script, kind, message) in [
        ("import sys; sys.stderr.write('boom'); sys.exit(3)", "EvaluatorFailed", "exit status: 3: boom"),
        ("print('no json')", "EvaluatorInvalidOutput", "did not print one JSON document"),
        ("pass", "EvaluatorInvalidOutput", "printed nothing"),
        ("print('{\"score\": 2}')", "EvaluatorInvalidOutput", "outside 0..=1"),
        ("import no_such_module", "EvaluatorFailed", "ModuleNotFoundError"),
    ] {
        let result = Workshop::new(script, "").result();
        assert_eq!(result["error_type"], kind, "{script}");
        assert!(result["error"].as_str().unwrap().contains(message), "{}", result["error"]);
        assert_eq!(result["eval_status"], "NOT_EVALUATED");
    }
}

#[test]
fn a_missing_script_is_an_error_of_its_metric_alone_and_exits_3() {
    let workshop = Workshop::new("", "");
    fs::remove_file(workshop.0.path().join("mine.py")).unwrap();
    let output = workshop.command().output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    let report = report(&output);
    assert_eq!(report["traces"][0]["metrics"][0]["score"], 1.0);
    assert_eq!(report["traces"][0]["metrics"][1]["error_type"], "EvaluatorUnavailable");
}

#[test]
fn secrets_in_the_environment_are_not_passed_on_unless_named() {
    let script = "import json, os
print(json.dumps({'score': 1, 'details': {n: n in os.environ for n in ['A_SECRET', 'NAMED_SECRET', 'PATH']}}))
";
    let workshop = Workshop::new(script, ", env: [NAMED_SECRET]");
    let output = workshop.command().env("A_SECRET", "x").env("NAMED_SECRET", "y").output().unwrap();
    let details = &report(&output)["traces"][0]["metrics"][1]["details"];
    assert_eq!(*details, serde_json::json!({"A_SECRET": false, "NAMED_SECRET": true, "PATH": true}));
}

/// Starts a process that outlives its parent, writes its id, and then does `then`.
fn with_grandchild(then: &str) -> String {
    format!(
        "import subprocess, sys, time
child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])
open('pid.tmp', 'w').write(str(child.pid))
import os; os.rename('pid.tmp', 'pid')
{then}
"
    )
}

/// Waits until the process in `pid` is gone; a zombie counts as gone.
fn assert_gone(folder: &Path) {
    let pid: u32 = fs::read_to_string(folder.join("pid")).unwrap().parse().unwrap();
    let is_running = || {
        fs::read_to_string(format!("/proc/{pid}/stat"))
            .is_ok_and(|stat| !stat.rsplit(')').next().unwrap_or_default().trim_start().starts_with('Z'))
    };
    let deadline = Instant::now() + Duration::from_secs(20);
    while is_running() {
        assert!(Instant::now() < deadline, "process {pid} still runs");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_timeout_kills_everything_the_evaluator_started() {
    let workshop = Workshop::new(&with_grandchild("time.sleep(600)"), ", timeout: 5");
    let result = workshop.result();
    assert_eq!(result["error_type"], "EvaluatorTimeout");
    assert_gone(workshop.0.path());
}

#[test]
fn what_an_evaluator_leaves_running_is_killed_and_delays_nothing() {
    let workshop = Workshop::new(&with_grandchild("print('{\"score\": 1}')"), ", timeout: 300");
    assert_eq!(workshop.result()["score"], 1.0);
    assert_gone(workshop.0.path());
}

#[test]
fn an_interrupt_kills_the_evaluator_and_exits_130() {
    let workshop = Workshop::new(&with_grandchild("time.sleep(600)"), ", timeout: 300");
    let mut child = std::process::Command::new(assert_cmd::cargo::cargo_bin("agentevals"))
        .args(["run", "adk-travel.json", "-c", "eval.yaml"])
        .current_dir(workshop.0.path())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    while !workshop.0.path().join("pid").exists() {
        assert!(Instant::now() < deadline, "the evaluator did not start");
        std::thread::sleep(Duration::from_millis(5));
    }
    let pid = rustix::process::Pid::from_raw(child.id().cast_signed()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_gone(workshop.0.path());
}

#[test]
fn endless_output_is_cut_and_refused() {
    let script = "import sys
for _ in range(40): sys.stdout.write('x' * (1 << 20))
";
    let result = Workshop::new(script, "").result();
    assert!(result["error"].as_str().unwrap().contains("printed more than"), "{}", result["error"]);
}

#[test]
fn large_inputs_and_outputs_do_not_block_each_other() {
    let script = "import json, sys
sys.stdout.write('{\"score\": 1, \"details\": {\"text\": \"' + 'y' * (1 << 20) + '\"}}')
sys.stdout.flush()
sys.stdin.read()
";
    let config = format!(", config: {{text: {}}}", "z".repeat(900_000));
    assert_eq!(Workshop::new(script, &config).result()["score"], 1.0);
}

#[test]
fn what_left_the_process_group_does_not_hold_the_answer_back() {
    let script = "import subprocess, sys
subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(30)'], start_new_session=True)
print('{\"score\": 1}')
";
    assert_eq!(Workshop::new(script, ", timeout: 20").result()["score"], 1.0);
}
