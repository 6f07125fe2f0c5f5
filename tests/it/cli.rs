//! The program as users run it: options, exit codes, outputs, errors.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::agentevals;

/// Runs the program in `samples/`.
fn run(arguments: &[&str]) -> Output {
    run_in(&Path::new(env!("CARGO_MANIFEST_DIR")).join("samples"), arguments)
}

fn run_in(folder: &Path, arguments: &[&str]) -> Output {
    agentevals().args(arguments).current_dir(folder).output().unwrap()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", stderr(output)))
}

/// The text with durations, which differ from run to run, replaced.
fn without_durations(text: &str) -> String {
    regex::Regex::new(r"\b\d+(\.\d+)?(ms|s)\b").unwrap().replace_all(text, "TIME").into_owned()
}

const BOTH: [&str; 4] = ["-m", "tool_trajectory_avg_score", "-m", "response_match_score"];

#[test]
fn every_sample_passes_its_eval_set() {
    for (trace, eval_set) in [
        ("adk-travel.json", "adk-travel.eval.json"),
        ("langchain-support.json", "langchain-support.eval.json"),
        ("openai-logs", "openai-logs.eval.json"),
        ("multi-turn-bank.json", "multi-turn-bank.eval.json"),
        ("jaeger-kitchen.json", "jaeger-kitchen.eval.json"),
    ] {
        let output = run(&[&["run", trace, "-e", eval_set][..], &BOTH].concat());
        assert_eq!(code(&output), 0, "{trace}: {}{}", stdout(&output), stderr(&output));
        assert_eq!(stderr(&output), "");
    }
}

#[test]
fn a_regression_fails_and_says_which_argument_differs() {
    let output = run(&["run", "adk-travel.json", "-e", "adk-travel-regressed.eval.json"]);
    assert_eq!(code(&output), 1);
    insta::assert_snapshot!(without_durations(&stdout(&output)));
}

#[test]
fn a_summary_has_a_line_per_metric() {
    let output = run(&[
        &["run", "multi-turn-bank.json", "-e", "multi-turn-bank.eval.json", "-o", "summary"][..],
        &BOTH,
        &["-m", "tool_call_count_v1"],
    ]
    .concat());
    assert_eq!(code(&output), 0);
    insta::assert_snapshot!(without_durations(&stdout(&output)));
}

#[test]
fn json_has_the_members_of_the_reference_and_ours() {
    let output = run(&["run", "jaeger-kitchen.json", "-e", "jaeger-kitchen.eval.json", "-o", "json"]);
    let mut report = json(&output);
    report["traces"][0]["metrics"][0]["duration_ms"] = 0.into();
    insta::assert_json_snapshot!(report);
}

#[test]
fn equal_input_gives_equal_output() {
    let report = || {
        let output =
            run(&["run", "multi-turn-bank.json", "adk-travel.json", "-o", "json", "--group-by", "trace"]);
        let text = stdout(&output);
        regex::Regex::new(r#""duration_ms": [^,\n]*"#).unwrap().replace_all(&text, "").into_owned()
    };
    assert_eq!(report(), report());
}

#[test]
fn the_number_of_threads_changes_nothing() {
    let folder = TempDir::new().unwrap();
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("samples");
    let text = fs::read_to_string(samples.join("langchain-support.json")).unwrap();
    let document: Value = serde_json::from_str(&text).unwrap();
    let scopes = &document["resourceSpans"][0]["scopeSpans"];
    let trace_id = scopes[0]["spans"][0]["traceId"].as_str().unwrap();
    let compact = scopes.to_string();
    // Large enough to be decoded while it is scanned; the resource comes last, and one span has no id.
    let copies = (0..400).map(|copy| compact.replace(trace_id, &format!("{:032x}", copy + 1)));
    let copies: Vec<_> = copies.map(|scopes| scopes.trim_matches(['[', ']']).to_owned()).collect();
    let bad = r#"{"spans":[{"name":"no id"}]}"#;
    let resource = &document["resourceSpans"][0]["resource"];
    let text = format!(
        r#"{{"resourceSpans":[{{"scopeSpans":[{},{bad}],"resource":{resource}}}]}}"#,
        copies.join(",")
    );
    assert!(text.len() > 2_000_000, "{}", text.len());
    let path = folder.path().join("large.json");
    fs::write(&path, text).unwrap();
    let report = |jobs: &str| {
        let output =
            run(&["run", path.to_str().unwrap(), "-m", "token_usage_v1", "-o", "json", "--jobs", jobs]);
        let mut report = json(&output);
        for unit in report["traces"].as_array_mut().unwrap() {
            assert_eq!(unit["service_name"], document_service(resource));
            unit["metrics"][0]["duration_ms"] = 0.into();
        }
        assert_eq!(report["traces"].as_array().unwrap().len(), 400);
        assert_eq!(report["warnings"][0]["code"], "spans_rejected");
        report
    };
    assert_eq!(report("1"), report("4"));
}

/// The service name among the attributes of a resource.
fn document_service(resource: &Value) -> Value {
    let attributes = resource["attributes"].as_array().unwrap();
    let name = attributes.iter().find(|attribute| attribute["key"] == "service.name").unwrap();
    name["value"]["stringValue"].clone()
}

#[test]
fn nothing_passes_by_not_being_evaluated() {
    let verdict = |arguments: &[&str]| {
        let output = run(arguments);
        (code(&output), stdout(&output))
    };
    let (exit, text) = verdict(&["run", "adk-travel.json"]);
    assert_eq!(exit, 3);
    assert!(text.contains("no eval set provided"), "{text}");
    let (exit, _) = verdict(&["run", "adk-travel.json", "--lenient"]);
    assert_eq!(exit, 0, "the reference passes what it did not evaluate");
    let two = ["run", "adk-travel.json", "langchain-support.json", "-e", "adk-travel.eval.json"];
    let (exit, text) = verdict(&two);
    assert_eq!(exit, 1, "one of two traces matches no case");
    assert!(text.contains("no matching eval case"), "{text}");
}

#[test]
fn an_eval_case_without_a_trace_fails() {
    let folder = TempDir::new().unwrap();
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("samples");
    let text = fs::read_to_string(samples.join("adk-travel.eval.json")).unwrap();
    let mut eval_set: Value = serde_json::from_str(&text).unwrap();
    let mut other = eval_set["eval_cases"][0].clone();
    other["eval_id"] = "never-asked".into();
    other["conversation"][0]["user_content"]["parts"][0]["text"] = "Something else entirely".into();
    eval_set["eval_cases"].as_array_mut().unwrap().push(other);
    let path = folder.path().join("eval.json");
    fs::write(&path, eval_set.to_string()).unwrap();
    let output = run(&["run", "adk-travel.json", "-e", path.to_str().unwrap()]);
    assert_eq!(code(&output), 1);
    assert!(stdout(&output).contains("no trace was compared with eval case never-asked"));
}

#[test]
fn missing_turns_lower_the_score_and_are_shown() {
    let folder = TempDir::new().unwrap();
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("samples");
    let text = fs::read_to_string(samples.join("langchain-support.eval.json")).unwrap();
    let mut eval_set: Value = serde_json::from_str(&text).unwrap();
    let turns = eval_set["eval_cases"][0]["conversation"].as_array_mut().unwrap();
    turns.push(turns[0].clone());
    turns.push(turns[0].clone());
    let path = folder.path().join("eval.json");
    fs::write(&path, eval_set.to_string()).unwrap();
    let arguments = ["run", "langchain-support.json", "-e", path.to_str().unwrap(), "-o", "json"];
    let output = run(&arguments);
    let metric = &json(&output)["traces"][0]["metrics"][0];
    assert_eq!(code(&output), 1);
    assert_eq!(metric["per_invocation_scores"], serde_json::json!([1.0, 0.0, 0.0]));
    assert_eq!(metric["details"]["missing_turns"], 2);
    let lenient = run(&[&arguments[..], &["--lenient"]].concat());
    assert_eq!(json(&lenient)["traces"][0]["metrics"][0]["score"], 1.0);
    let table = run(&["run", "langchain-support.json", "-e", path.to_str().unwrap()]);
    assert!(stdout(&table).contains("2 missing turns"));
}

#[test]
fn mistakes_in_usage_are_one_line_with_the_remedy() {
    for (arguments, message) in [
        (
            &["run", "adk-travel.json", "-m", "response_mach_score"][..],
            "did you mean `response_match_score`?",
        ),
        (&["run", "adk-travel.json", "-m", "hallucinations_v1"], "needs a judge model"),
        (&["run", "adk-travel.json", "-j", "gemini-2.5-flash"], "none of the metrics asks a judge"),
        (&["run", "adk-travel.json", "--only", "nothing"], "there is no evaluator `nothing`"),
        (&["run", "adk-travel.json", "-c", "nowhere.yaml"], "nowhere.yaml"),
        (&["run", "nowhere.json"], "`nowhere.json`: No such file"),
        (&["run", "adk-travel.json", "-t", "1.5"], "must lie within 0 and 1"),
        (&["run", "adk-travel.json", "--trajectory-match-type", "SOME"], "SUPERSET"),
        (&["run", "adk-travel.json", "-f", "zipkin"], "jaeger-json or otlp-json"),
    ] {
        let output = run(arguments);
        assert_eq!(code(&output), 2, "{arguments:?}");
        assert!(stderr(&output).contains(message), "{arguments:?}: {}", stderr(&output));
        assert!(stderr(&output).starts_with("error: "));
        assert!(!stderr(&output).contains("panicked"));
    }
}

#[test]
fn a_bad_eval_set_is_located_and_nothing_is_evaluated_without_it() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("eval.json");
    fs::write(&path, r#"{"eval_set_id":"x","eval_cases":[{"eval_id":"a","conversation":[{}]}]}"#).unwrap();
    let place = "$.eval_cases[0].conversation[0].user_content: missing";
    let output = run(&["run", "adk-travel.json", "-e", path.to_str().unwrap(), "-o", "json"]);
    assert_eq!(code(&output), 2);
    assert!(stderr(&output).contains(place), "{}", stderr(&output));
    assert!(output.stdout.is_empty(), "no report below the one error");
    // As the reference, the lenient way goes on without the set.
    let output = run(&["run", "adk-travel.json", "-e", path.to_str().unwrap(), "-o", "json", "--lenient"]);
    assert!(stderr(&output).contains(place), "{}", stderr(&output));
    assert_eq!(json(&output)["traces"][0]["num_invocations"], 1);
    assert_eq!(json(&output)["verdict"], "errored");
}

#[test]
fn a_forced_format_that_does_not_fit_is_an_error() {
    let output = run(&["run", "adk-travel.json", "-f", "jaeger-json"]);
    assert_eq!(code(&output), 2);
    assert!(stderr(&output).contains("is not jaeger-json"), "{}", stderr(&output));
}

#[test]
fn an_excerpt_of_what_is_no_trace_is_shown_as_it_stands() {
    let output = agentevals().args(["run", "-"]).write_stdin(r#""hello""#).output().unwrap();
    assert_eq!(code(&output), 2);
    assert!(stderr(&output).contains(r#"found `"hello"`"#), "{}", stderr(&output));
}

#[test]
fn only_log_records_are_no_traces_and_the_remedy_is_said() {
    let output = run(&["run", "openai-logs/logs.jsonl"]);
    assert_eq!(code(&output), 2);
    assert!(stderr(&output).contains("log records; give the file with the spans too"), "{}", stderr(&output));
}

#[test]
fn traces_come_from_standard_input_and_compressed_too() {
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("samples");
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(&fs::read(samples.join("adk-travel.json")).unwrap()).unwrap();
    let output = agentevals()
        .args(["run", "-", "-e", "adk-travel.eval.json"])
        .current_dir(samples)
        .write_stdin(encoder.finish().unwrap())
        .output()
        .unwrap();
    assert_eq!(code(&output), 0, "{}", stderr(&output));
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let mut child = std::process::Command::new(assert_cmd::cargo::cargo_bin("agentevals"))
        .args(["run", "adk-travel.json", "-e", "adk-travel.eval.json", "-o", "json"])
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("samples"))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(stderr(&output), "");
    assert_eq!(code(&output), 0);
}

#[test]
fn trajectory_options_reach_the_metric() {
    let passes = |options: &[&str]| {
        let arguments = ["run", "adk-travel.json", "-e", "adk-travel-regressed.eval.json"];
        code(&run(&[&arguments[..], options].concat())) == 0
    };
    assert!(!passes(&["--trajectory-match-type", "subset"]), "an argument differs");
    assert!(passes(&["--trajectory-match-type", "subset", "--trajectory-args", "ignore"]));
    assert!(passes(&["--trajectory-match-type", "SUBSET", "--trajectory-args", "search_trains=ignore"]));
    assert!(!passes(&["--trajectory-args", "ignore"]), "a call is missing");
}

/// A folder with a configuration, and a trace and an eval set from the samples.
fn configured(config: &str) -> TempDir {
    let folder = TempDir::new().unwrap();
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("samples");
    for name in ["adk-travel.json", "adk-travel.eval.json"] {
        fs::copy(samples.join(name), folder.path().join(name)).unwrap();
    }
    fs::write(folder.path().join("eval.yaml"), config).unwrap();
    folder
}

const CONFIG: &str = "
eval_set: adk-travel.eval.json
output: json
evaluators:
  - {name: response_match_score, type: builtin, threshold: 0.99}
  - {name: tool_trajectory_avg_score, type: builtin, trajectory_match_type: in_order}
";

#[test]
fn paths_in_a_configuration_are_relative_to_it() {
    let folder = configured(CONFIG);
    let trace = folder.path().join("adk-travel.json");
    let config = folder.path().join("eval.yaml");
    let output = run(&["run", trace.to_str().unwrap(), "-c", config.to_str().unwrap()]);
    let report = json(&output);
    let metrics = report["traces"][0]["metrics"].as_array().unwrap();
    let names: Vec<_> = metrics.iter().map(|metric| metric["metric_name"].as_str().unwrap()).collect();
    assert_eq!(names, ["response_match_score", "tool_trajectory_avg_score"], "in the order configured");
    assert_eq!(metrics[0]["eval_status"], "FAILED");
    assert_eq!(code(&output), 1);
}

#[test]
fn the_command_line_wins_over_the_configuration() {
    let folder = configured(CONFIG);
    let run = |options: &[&str]| {
        let base = ["run", "adk-travel.json", "-c", "eval.yaml"];
        let report = json(&run_in(folder.path(), &[&base[..], options].concat()));
        let metrics = report["traces"][0]["metrics"].as_array().unwrap().clone();
        metrics
            .iter()
            .map(|metric| {
                let text = |member: &str| metric[member].as_str().unwrap().to_owned();
                format!("{} {}", text("metric_name"), text("eval_status"))
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(run(&["-t", "0.5"]), ["response_match_score PASSED", "tool_trajectory_avg_score PASSED"]);
    assert_eq!(run(&["--only", "response_match_score"]), ["response_match_score FAILED"]);
    // A metric named with -m replaces the configured one; the others stay as they are.
    assert_eq!(
        run(&["-m", "response_match_score", "-t", "0.1"]),
        ["tool_trajectory_avg_score PASSED", "response_match_score PASSED"]
    );
}

#[test]
fn validate_checks_without_scoring() {
    let folder = configured(CONFIG);
    fs::write(
        folder.path().join("bad.eval.json"),
        r#"{"eval_set_id":"x","eval_cases":[{"eval_id":"a","conversation":[]},{"eval_id":"a"}]}"#,
    )
    .unwrap();
    fs::write(folder.path().join("bad.yaml"), "evaluators:\n  - {name: x, type: code, path: gone.py}\n")
        .unwrap();
    let good = run_in(folder.path(), &["validate", "adk-travel.eval.json", "eval.yaml"]);
    assert_eq!(code(&good), 0);
    insta::assert_snapshot!(stdout(&good));
    let bad = run_in(folder.path(), &["validate", "bad.eval.json", "bad.yaml"]);
    assert_eq!(code(&bad), 2);
    insta::assert_snapshot!(stdout(&bad));
}

#[test]
fn efficiency_metrics_report_numbers_and_never_fail() {
    let names = ["tool_call_count_v1", "inference_call_count_v1", "token_usage_v1", "invocation_duration_v1"];
    let metrics: Vec<_> = names.iter().flat_map(|name| ["-m", *name]).collect();
    let output =
        run(&[&["run", "multi-turn-bank.json", "-o", "json", "--group-by", "conversation"], &metrics[..]]
            .concat());
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let report = json(&output);
    let metrics = report["traces"][0]["metrics"].as_array().unwrap();
    assert!(metrics.iter().all(|metric| metric["eval_status"] == "INFORMATIONAL"));
    assert_eq!(metrics[0]["per_invocation_scores"], serde_json::json!([1.0, 3.0, 0.0]));
}

#[test]
fn validate_tells_eval_sets_from_configurations() {
    let folder = TempDir::new().unwrap();
    for (name, text, answer, exit) in [
        ("config.json", r#"{"output": "json"}"#, "ok, configuration, 0 evaluators", 0),
        (
            "flow.yaml",
            "{evaluators: [{name: token_usage_v1, type: builtin}]}",
            "ok, configuration, 1 evaluator",
            0,
        ),
        ("empty.yaml", "", "neither an eval set nor a configuration", 2),
        ("cut.json", r#"{"eval_set_id": "#, "invalid JSON", 2),
        ("escape.json", r#"{"eval_set_id":"x","eval_cases":[{"a\u001b[2Jb":1}]}"#, "missing", 2),
    ] {
        fs::write(folder.path().join(name), text).unwrap();
        let output = run_in(folder.path(), &["validate", name]);
        assert_eq!(code(&output), exit, "{name}: {}", stdout(&output));
        assert!(stdout(&output).contains(answer), "{name}: {}", stdout(&output));
        assert!(!stdout(&output).contains('\u{1b}'));
    }
}

#[test]
fn standard_input_is_read_once_only() {
    let output = run(&["run", "-", "-e", "-"]);
    assert_eq!(code(&output), 2);
    assert!(stderr(&output).contains("can be read only once"));
}

#[test]
fn a_mode_for_one_tool_keeps_the_paths_of_all() {
    let folder = configured(
        "evaluators: [{name: tool_trajectory_avg_score, type: builtin, trajectory_paths: {$.depart_before: any},
          trajectory_match_type: SUBSET}]",
    );
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("samples/adk-travel-regressed.eval.json");
    let arguments = ["run", "adk-travel.json", "-c", "eval.yaml", "-e", samples.to_str().unwrap()];
    assert_eq!(code(&run_in(folder.path(), &arguments)), 0);
    let with_mode = [&arguments[..], &["--trajectory-args", "search_trains=subset"]].concat();
    assert_eq!(code(&run_in(folder.path(), &with_mode)), 0);
}
