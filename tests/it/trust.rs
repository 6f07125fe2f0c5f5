//! A gate that can be trusted: nothing passes because it was not seen.

use std::path::Path;
use std::process::Output;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{agentevals, chat, otlp, otlp_logs, question, span, tool_call, user};

/// Both metrics that compare with a golden.
const BOTH: [&str; 4] = ["-m", "tool_trajectory_avg_score", "-m", "response_match_score"];

/// The exit code and the report on a recording in `tests/fixtures/dialects`.
fn evaluate(name: &str, options: &[&str]) -> (i32, Value) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/dialects").join(name);
    read(
        agentevals()
            .args(["run", "trace.json", "-e", "eval.json", "-o", "json"])
            .args(options)
            .current_dir(folder),
    )
}

/// The same of a trace and a golden that a test makes.
fn evaluate_made(trace: &Value, golden: &Value, options: &[&str]) -> (i32, Value) {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("trace.json"), trace.to_string()).unwrap();
    std::fs::write(folder.path().join("eval.json"), golden.to_string()).unwrap();
    read(
        agentevals()
            .args(["run", "trace.json", "-e", "eval.json", "-o", "json"])
            .args(options)
            .current_dir(folder.path()),
    )
}

fn read(command: &mut assert_cmd::Command) -> (i32, Value) {
    let Output { status, stdout, .. } = command.output().unwrap();
    (status.code().unwrap(), serde_json::from_slice(&stdout).unwrap())
}

/// The result of a metric of the first conversation.
fn metric<'r>(report: &'r Value, name: &str) -> &'r Value {
    let metrics = report["traces"][0]["metrics"].as_array().unwrap();
    metrics.iter().find(|metric| metric["metric_name"] == name).unwrap()
}

fn trajectory(report: &Value) -> &Value {
    metric(report, "tool_trajectory_avg_score")
}

fn response(report: &Value) -> &Value {
    metric(report, "response_match_score")
}

fn has_warning(report: &Value, code: &str) -> bool {
    report["traces"][0]["warnings"].as_array().unwrap().iter().any(|warning| warning["code"] == code)
}

/// A golden of one case with these turns: user text, calls, final response if it has one.
fn golden_of(turns: &[(&str, Value, Option<&str>)]) -> Value {
    let turn = |(text, calls, response): &(&str, Value, Option<&str>)| {
        let mut turn = json!({
            "user_content": {"parts": [{"text": text}]},
            "intermediate_data": {"tool_uses": calls},
        });
        if let Some(response) = response {
            turn["final_response"] = json!({"parts": [{"text": response}]});
        }
        turn
    };
    let conversation: Vec<_> = turns.iter().map(turn).collect();
    json!({"eval_set_id": "s", "eval_cases": [{"eval_id": "c", "conversation": conversation}]})
}

#[test]
fn calls_that_cannot_be_seen_are_not_evaluated() {
    let (exit, report) = evaluate("content-off-passes-forbidden-calls", &[]);
    assert_eq!((exit, &report["verdict"]), (3, &json!("errored")));
    let result = trajectory(&report);
    assert_eq!((&result["score"], &result["eval_status"]), (&Value::Null, &json!("NOT_EVALUATED")));
    let reason = result["details"]["reason"].as_str().unwrap();
    assert!(reason.contains("cannot be seen: no tool spans and no message content"), "{reason}");
    // The numbers of the reference stay.
    assert_eq!(evaluate("content-off-passes-forbidden-calls", &["--lenient"]).0, 0);
}

#[test]
fn a_model_that_stopped_for_another_reason_called_no_tool() {
    let call = |reason: Value| {
        let attributes = json!({"gen_ai.operation.name": "chat", "gen_ai.request.model": "m",
            "gen_ai.response.finish_reasons": reason});
        otlp([span(1, 0, attributes)])
    };
    let golden = golden_of(&[("hi", json!([]), None)]);
    for (reason, exit) in [(json!(["stop"]), 0), (json!(["tool_calls"]), 3), (json!([]), 3)] {
        assert_eq!(evaluate_made(&call(reason.clone()), &golden, &[]).0, exit, "{reason}");
    }
}

#[test]
fn messages_that_are_cut_are_told_and_nothing_passes_by_them() {
    for name in ["", "/truncated-attrs", "/truncated-forbidden"] {
        let name = format!("truncated-message-attributes{name}");
        let (exit, report) = evaluate(&name, &BOTH);
        assert_ne!(exit, 0, "{name}");
        assert_eq!(trajectory(&report)["eval_status"], "NOT_EVALUATED", "{name}");
        assert!(has_warning(&report, "messages_not_readable"), "{name}");
        assert!(!has_warning(&report, "content_not_captured"), "{name}");
    }
}

#[test]
fn visible_calls_decide_where_they_can() {
    // The first model call shows a call; the second was not captured.
    let hidden = json!({"gen_ai.operation.name": "chat", "gen_ai.request.model": "m"});
    let output = json!([tool_call("1", "book", json!({}))]);
    let agent = span(1, 0, json!({"gen_ai.operation.name": "invoke_agent"}));
    let trace = otlp([agent, chat(2, 1, json!([user("go")]), output), span(3, 1, hidden)]);
    let book = json!([{"name": "book", "args": {}}]);
    for (calls, match_type, status) in [
        (&book, "EXACT", "NOT_EVALUATED"), // there may be another one
        (&book, "SUPERSET", "PASSED"),     // which would be allowed
        (&json!([]), "EXACT", "FAILED"),   // the visible one is forbidden whatever else there is
        (&json!([]), "SUBSET", "FAILED"),
        (&json!([{"name": "pay"}]), "ANY_ORDER", "NOT_EVALUATED"), // it may be the one that is not seen
    ] {
        let golden = golden_of(&[("go", calls.clone(), None)]);
        let report = evaluate_made(&trace, &golden, &["--trajectory-match-type", match_type]).1;
        assert_eq!(trajectory(&report)["eval_status"], status, "{calls} {match_type}");
    }
}

#[test]
fn arguments_that_were_not_recorded_are_unknown() {
    for name in ["tool-arguments-not-recorded", "tool-arguments-not-recorded/tool-args-not-recorded-passes"] {
        let (exit, report) = evaluate(name, &BOTH);
        assert_eq!(exit, 1, "{name}");
        assert!(has_warning(&report, "tool_arguments_missing"), "{name}");
        let reason = &trajectory(&report)["details"]["comparisons"][0]["calls"][0]["reason"];
        assert!(reason.as_str().unwrap().contains("not recorded"), "{reason}");
        assert_eq!(evaluate(name, &["--trajectory-args", "ignore"]).0, 0, "{name}");
    }
    // The reference takes unknown arguments for none.
    let passes = "tool-arguments-not-recorded/tool-args-not-recorded-passes";
    assert_eq!(evaluate(passes, &["--lenient"]).0, 0);
}

#[test]
fn half_a_conversation_does_not_pass() {
    for options in [&[][..], &["-t", "0.5"]] {
        let (exit, report) = evaluate("half-the-conversation-passes", options);
        let result = trajectory(&report);
        assert_eq!((exit, &result["score"]), (1, &json!(0.5)), "{options:?}");
        assert_eq!(
            (&result["eval_status"], &result["details"]["missing_turns"]),
            (&json!("FAILED"), &json!(1))
        );
    }
    let (exit, report) = evaluate("half-the-conversation-passes", &["-m", "response_match_score", "-t", "0"]);
    assert_eq!((exit, &response(&report)["eval_status"]), (1, &json!("FAILED")));
    assert_eq!(evaluate("half-the-conversation-passes", &["--lenient"]).0, 0);
}

#[test]
fn every_turn_has_to_match_unless_a_threshold_is_given() {
    let turn = |number: u64, text: &str, tool: &str| {
        let output = json!([tool_call("1", tool, json!({}))]);
        chat(number, 0, json!([user(text)]), output)
    };
    let trace = otlp([turn(1, "a", "one"), turn(2, "b", "other")]);
    let calls = |name: &str| json!([{"name": name, "args": {}}]);
    let golden = golden_of(&[("a", calls("one"), None), ("b", calls("two"), None)]);
    let (exit, report) = evaluate_made(&trace, &golden, &[]);
    assert_eq!((exit, &trajectory(&report)["score"]), (1, &json!(0.5)));
    let reason = trajectory(&report)["details"]["reason"].as_str().unwrap();
    assert!(reason.contains("every turn has to match"), "{reason}");
    assert_eq!(evaluate_made(&trace, &golden, &["-t", "0.5"]).0, 0);
    assert_eq!(evaluate_made(&trace, &golden, &["--lenient"]).0, 0);
}

#[test]
fn a_turn_without_an_expected_response_has_no_score() {
    let trace = otlp([question(1, "a", "One."), question(2, "b", "Two.")]);
    let golden = golden_of(&[("a", json!([]), Some("One.")), ("b", json!([]), None)]);
    let (exit, report) = evaluate_made(&trace, &golden, &["-m", "response_match_score"]);
    let result = response(&report);
    assert_eq!((exit, &result["per_invocation_scores"]), (0, &json!([1.0, null])));
    assert_eq!(result["per_invocation_statuses"], json!(["PASSED", "NOT_EVALUATED"]));
    let reason = result["details"]["responses"][0]["reason"].as_str().unwrap();
    assert!(reason.contains("no `final_response`"), "{reason}");
    let none = golden_of(&[("a", json!([]), None), ("b", json!([]), None)]);
    let (exit, report) = evaluate_made(&trace, &none, &["-m", "response_match_score"]);
    assert_eq!((exit, &response(&report)["eval_status"]), (3, &json!("NOT_EVALUATED")));
}

#[test]
fn equal_responses_score_one_whatever_they_consist_of() {
    let (exit, report) = evaluate("rouge-identical-but-no-tokens", &BOTH);
    assert_eq!((exit, &response(&report)["score"]), (0, &json!(1.0)));
    let lenient = evaluate("rouge-identical-but-no-tokens", &["-m", "response_match_score", "--lenient"]).1;
    assert_eq!(response(&lenient)["score"], 0.0);
    // Nothing was expected and nothing was said; where nothing was captured, nobody knows.
    let output = json!([tool_call("1", "bye", json!({}))]);
    let silent = otlp([chat(1, 0, json!([user("go")]), output)]);
    let uncaptured =
        otlp([span(1, 0, json!({"gen_ai.operation.name": "chat", "gen_ai.request.model": "m"}))]);
    let golden = golden_of(&[("go", json!([]), Some(""))]);
    for (trace, status) in [(silent, "PASSED"), (uncaptured, "NOT_EVALUATED")] {
        let report = evaluate_made(&trace, &golden, &["-m", "response_match_score"]).1;
        assert_eq!(response(&report)["eval_status"], status);
    }
}

#[test]
fn thoughts_count_on_neither_side() {
    let (exit, report) = evaluate("thought-parts-in-golden", &BOTH);
    assert_eq!((exit, &response(&report)["score"]), (0, &json!(1.0)));
    let lenient = evaluate("thought-parts-in-golden", &["-m", "response_match_score", "--lenient"]).1;
    assert_eq!(response(&lenient)["score"], 0.8);
}

#[test]
fn the_texts_of_a_response_that_fails_are_shown() {
    let folder = TempDir::new().unwrap();
    let trace = otlp([question(1, "Rain?", "No, it stays dry.")]);
    std::fs::write(folder.path().join("trace.json"), trace.to_string()).unwrap();
    let expected = golden_of(&[("Rain?", json!([]), Some("Yes, it rains."))]);
    std::fs::write(folder.path().join("eval.json"), expected.to_string()).unwrap();
    let mut command = agentevals();
    let arguments = ["run", "trace.json", "-e", "eval.json", "-m", "response_match_score"];
    let output = command.args(arguments).current_dir(folder.path()).output().unwrap();
    let table = String::from_utf8(output.stdout).unwrap();
    assert!(table.contains("expected  [Yes,] it [rains.]"), "{table}");
    assert!(table.contains("actual    [No,] it [stays] [dry.]"), "{table}");
}

#[test]
fn a_conversation_that_matches_no_case_counts_unless_it_is_ignored() {
    let mut other = question(2, "Something else", "Yes.");
    other["traceId"] = json!("1af7651916cd43dd8448eb211c80319c");
    let trace = otlp([question(1, "Hello?", "Hello."), other.clone()]);
    let expected = golden_of(&[("Hello?", json!([]), Some("Hello."))]);
    assert_eq!(evaluate_made(&trace, &expected, &[]).0, 1);
    assert_eq!(evaluate_made(&trace, &expected, &["--unmatched", "fail"]).0, 1);
    let (exit, report) = evaluate_made(&trace, &expected, &["--unmatched", "ignore"]);
    assert_eq!((exit, report["traces"].as_array().unwrap().len()), (0, 2));
    // When nothing matches, nothing was evaluated.
    other["traceId"] = json!("2af7651916cd43dd8448eb211c80319c");
    let mut third = question(3, "A third one", "Yes.");
    third["traceId"] = json!("3af7651916cd43dd8448eb211c80319c");
    assert_eq!(evaluate_made(&otlp([other, third]), &expected, &["--unmatched", "ignore"]).0, 3);
}

#[test]
fn data_that_the_sdk_dropped_is_told() {
    let (exit, report) = evaluate("dropped-attributes-count", &BOTH);
    assert_eq!((exit, &trajectory(&report)["score"]), (0, &json!(1.0)));
    let warnings = report["traces"][0]["warnings"].as_array().unwrap();
    let dropped = warnings.iter().find(|warning| warning["code"] == "attributes_dropped").unwrap();
    assert_eq!(
        dropped["text"],
        "3 spans lost 111 attributes (droppedAttributesCount); messages or tool calls may be missing; raise \
         OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT"
    );
    let mut span = question(1, "Hello?", "Hello.");
    span["droppedEventsCount"] = json!(2);
    let golden = golden_of(&[("Hello?", json!([]), Some("Hello."))]);
    let mut trace = otlp([span]);
    trace["resourceLogs"] = otlp_logs([json!({"droppedAttributesCount": 4})])["resourceLogs"].take();
    let report = evaluate_made(&trace, &golden, &[]).1;
    assert!(has_warning(&report, "events_dropped"));
    // Log records have limits of their own.
    let warnings = report["warnings"].to_string();
    assert!(warnings.contains("1 log records lost 4 attributes"), "{warnings}");
    assert!(warnings.contains("raise OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT"), "{warnings}");
}

#[test]
fn unknown_members_of_a_golden_are_harmless_only_if_they_are_null() {
    let trace = otlp([question(1, "Hello?", "Hello.")]);
    let golden = |value: Value| {
        let mut golden = golden_of(&[("Hello?", json!([]), Some("Hello."))]);
        let part = &mut golden["eval_cases"][0]["conversation"][0]["user_content"]["parts"][0];
        part["speech_metadata"] = Value::Null; // known, of google-genai 2.34
        part["member_of_tomorrow"] = value;
        golden
    };
    let (exit, report) = evaluate_made(&trace, &golden(Value::Null), &[]);
    assert_eq!(exit, 0);
    let warning = report["warnings"].to_string();
    assert!(warning.contains("null_members_ignored") && warning.contains("member_of_tomorrow"), "{warning}");

    let folder = TempDir::new().unwrap();
    for (value, exit, told) in [
        (Value::Null, 0, "member_of_tomorrow: unknown member, ignored because it is null"),
        (json!(1), 2, "member_of_tomorrow: unknown member"),
    ] {
        std::fs::write(folder.path().join("eval.json"), golden(value).to_string()).unwrap();
        let output =
            agentevals().args(["validate", "eval.json"]).current_dir(folder.path()).output().unwrap();
        assert_eq!(output.status.code(), Some(exit));
        let told_all = format!("{output:?}");
        assert!(told_all.contains(told) && !told_all.contains("speech_metadata"), "{told_all}");
    }
}

#[test]
fn a_rule_for_a_tool_that_nothing_calls_is_told() {
    let output = json!([tool_call("1", "get_weather", json!({}))]);
    let trace = otlp([chat(1, 0, json!([user("Rain?")]), output)]);
    let folder = TempDir::new().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("trace.json", &trace.to_string());
    write("eval.json", &golden_of(&[("Rain?", json!([{"name": "get_weather"}]), None)]).to_string());
    for (tool, is_warned) in [("get_wether", true), ("get_weather", false)] {
        let rules = format!(
            "evaluators: [{{name: tool_trajectory_avg_score, type: builtin, trajectory_tools: {{{tool}: {{args: ignore}}}}}}]"
        );
        write("config.yaml", &rules);
        let (_, report) = read(
            agentevals()
                .args(["run", "trace.json", "-e", "eval.json", "-c", "config.yaml", "-o", "json"])
                .current_dir(folder.path()),
        );
        let warnings = report["warnings"].to_string();
        assert_eq!(warnings.contains("tool_rule_unused"), is_warned, "{tool}: {warnings}");
        assert_eq!(warnings.contains("did you mean `get_weather`?"), is_warned, "{tool}: {warnings}");
    }
}

#[test]
fn what_did_not_run_took_no_time() {
    let nothing = otlp([span(1, 0, json!({"http.request.method": "GET"}))]);
    let golden = golden_of(&[("Hello?", json!([]), None)]);
    let (_, report) = evaluate_made(&nothing, &golden, &["--lenient"]);
    let unit = &report["traces"][0];
    assert_eq!(unit["metrics"][0]["duration_ms"], Value::Null, "{unit}");
    assert_eq!(unit["metrics"][0]["eval_status"], "NOT_EVALUATED");
    let (_, report) = evaluate_made(&otlp([question(1, "Hello?", "Hello.")]), &golden, &[]);
    assert!(trajectory(&report)["duration_ms"].is_number());
}

#[test]
fn only_what_was_joined_by_name_is_said_to_be() {
    let agent = span(1, 0, json!({"gen_ai.operation.name": "invoke_agent"}));
    let output = json!([tool_call("in-the-message", "get_price", json!({"symbol": "A"}))]);
    let tool = json!({"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "get_price",
        "gen_ai.tool.call.id": "in-the-span"});
    let trace = otlp([agent, chat(2, 1, json!([user("go")]), output), span(3, 1, tool)]);
    let report = evaluate_made(&trace, &golden_of(&[("go", json!([]), None)]), &[]).1;
    let warnings = report["traces"][0]["warnings"].as_array().unwrap();
    let joined = warnings.iter().find(|warning| warning["code"] == "tool_data_by_name").unwrap();
    assert_eq!(
        joined["text"],
        "tool get_price arguments joined from message parts by name (call ids differ)"
    );
}
