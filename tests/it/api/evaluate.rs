//! Evaluating what is sent along; `fault_N` would find a fault of the reference (agentevals 0.11), which has these:
//!
//! 2. `trace_format` cannot be given.
//! 3. User data in results is rewritten.
//! 6. Runs succeed in which nothing could be read.
//! 10. Texts of internal errors are answered.

use std::sync::Arc;

use agentevals::api::ApiSettings;
use agentevals::evaluators::CodePolicy;
use agentevals::runs::Hints;
use agentevals::storage::memory::{MemoryLimits, MemoryStore};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::broken::Broken;
use super::harness::Api;
use crate::support::{golden_turn, jaeger, jaeger_span, otlp, question};

/// A trace in which the user asks and the agent answers.
pub(super) fn trace() -> String {
    otlp([question(1, "Hello?", "Hello.")]).to_string()
}

/// A golden with a case for it.
pub(super) fn golden() -> Value {
    json!({
        "eval_set_id": "greetings",
        "eval_cases": [{"eval_id": "hello", "conversation": [golden_turn("Hello?", "Hello.")]}],
    })
}

/// Compares answers.
pub(super) const CONFIG: &str = r#"{"evaluators": [{"name": "response_match_score", "type": "builtin"}]}"#;

fn jaeger_trace() -> String {
    let messages = |role: &str, text: &str| {
        json!([{"role": role, "parts": [{"type": "text", "content": text}]}]).to_string()
    };
    let tags = json!({
        "gen_ai.operation.name": "chat",
        "gen_ai.input.messages": messages("user", "Hello?"),
        "gen_ai.output.messages": messages("assistant", "Hello."),
    });
    jaeger([jaeger_span(1, json!([]), tags)]).to_string()
}

/// An API that may run code evaluators from a folder with this one in it.
pub(super) fn with_evaluator(script: &str) -> (Api, TempDir) {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("mine.py"), script).unwrap();
    let code = CodePolicy::for_requests(Some(folder.path().to_owned()));
    (with_settings(ApiSettings { code, ..ApiSettings::default() }), folder)
}

/// An API over a memory store.
pub(super) fn with_settings(settings: ApiSettings) -> Api {
    let hints = Hints::default();
    let store = Arc::new(MemoryStore::new(MemoryLimits::default(), hints.clone()));
    Api::over(store, &hints, settings)
}

async fn evaluated(api: &Api, parts: &[(&str, &str, &str)]) -> Value {
    api.call("evaluate_form").form(parts).send().await.expect(200)["data"].clone()
}

#[tokio::test]
async fn files_are_evaluated_and_answered_as_the_reference_does() {
    let api = Api::default();
    let (trace, golden) = (trace(), golden().to_string());
    let parts =
        [("trace_files", "t.json", &*trace), ("config", "", CONFIG), ("eval_set_file", "g.json", &*golden)];
    let data = evaluated(&api, &parts).await;
    let result = &data["traceResults"][0];
    assert_eq!(result["traceId"], crate::support::TRACE);
    assert_eq!(result["numInvocations"], 1);
    assert_eq!((&result["evalCaseId"], &result["evalCaseMatch"]), (&json!("hello"), &json!("user_text")));
    assert_eq!(result["serviceName"], "tests");
    assert_eq!(result["turnRefs"], json!([{"traceId": crate::support::TRACE, "spanId": "0000000000000001"}]));
    assert_eq!(result["performanceMetrics"]["latency"]["llmCalls"]["median"], 1000.0);
    let metric = &result["metricResults"][0];
    assert_eq!(metric["metricName"], "response_match_score");
    assert_eq!((&metric["score"], &metric["evalStatus"]), (&json!(1.0), &json!("PASSED")));
    assert_eq!(metric["perInvocationStatuses"], json!(["PASSED"]));
    assert_eq!(data["verdict"], "passed");
    assert_eq!(
        (&data["errors"], &data["warnings"], &data["unmatchedEvalCases"]),
        (&json!([]), &json!([]), &json!([]))
    );
    assert_eq!(data["performanceMetrics"]["counts"]["totalLlmCalls"], 1);
    assert_eq!(data["performanceMetrics"]["latency"]["overallPerTrace"]["p50"], 1000.0);
}

#[tokio::test]
async fn an_evaluation_is_stored_as_a_run() {
    let api = Api::default();
    let (trace, golden) = (trace(), golden().to_string());
    let parts = [
        ("trace_files", "a.json", &*trace),
        ("trace_files", "b.jsonl", "{}"),
        ("config", "", CONFIG),
        ("eval_set_file", "g.json", &*golden),
    ];
    let data = evaluated(&api, &parts).await;
    let id = data["runId"].as_str().unwrap();
    let run = api.call_on("get_run", id).query("include", "spec").send().await.expect(200)["data"].clone();
    assert_eq!((&run["status"], &run["verdict"]), (&json!("succeeded"), &data["verdict"]));
    assert_eq!((&run["targetKind"], &run["evalSetId"]), (&json!("uploaded"), &json!("greetings")));
    assert_eq!(run["summary"]["agents"], json!(["tests"]));
    let target = json!({"kind": "uploaded", "traceCount": 1, "traceFiles": ["a.json", "b.jsonl"]});
    assert_eq!(run["spec"]["target"], target);
    assert_eq!(run["spec"]["approach"], "trace_replay");
    assert_eq!(run["spec"]["evalSet"]["eval_set_id"], "greetings");
    assert_eq!(run["spec"]["evalConfig"]["evaluators"][0]["name"], "response_match_score");
    let results = api.call_on("list_results", id).query("evalCase", "hello").send().await.expect(200);
    assert_eq!(results["data"][0]["score"], 1.0);
    assert_eq!(results["data"][0]["details"], json!({}));
    let others = api.call_on("list_results", id).query("evalCase", "bye").send().await.expect(200);
    assert_eq!(others["data"], json!([]));
    for (name, value, count) in [
        ("evalSetId", "greetings", 1),
        ("evalSetId", "other", 0),
        ("agent", "tests", 1),
        ("agent", "other", 0),
        ("targetKind", "uploaded", 1),
        ("targetKind", "inline", 0),
    ] {
        let listed = api.call("list_runs").query(name, value).send().await.expect(200);
        assert_eq!(listed["data"].as_array().unwrap().len(), count, "{name}={value}");
    }
    let problem = api.call_on("retry_run", id).send().await.expect_problem(409, "not_retryable");
    assert!(problem["detail"].as_str().unwrap().contains("upload them again"), "{problem}");
}

#[tokio::test]
async fn fault_3_what_users_write_is_never_rewritten() {
    let script = "import json, sys
json.load(sys.stdin)
print(json.dumps({'score': 1.0, 'details': {'snake_case': {'another_one': float('nan')}, 'big': 2**70}}))
";
    let (api, _folder) = with_evaluator(script);
    let config = r#"{"evaluators": [{"name": "my_metric", "type": "code", "path": "mine.py"}]}"#;
    let data = evaluated(&api, &[("trace_files", "t.json", &trace()), ("config", "", config)]).await;
    let metric = &data["traceResults"][0]["metricResults"][0];
    assert_eq!(metric["details"]["snake_case"], json!({"another_one": null}));
    let id = data["runId"].as_str().unwrap();
    let results = api.call_on("list_results", id).send().await;
    assert_eq!(results.expect(200)["data"][0]["details"], metric["details"]);
    assert!(results.text.contains(r#""big":1180591620717411303424"#), "{}", results.text);
}

#[tokio::test]
async fn fault_16_an_evaluator_that_answers_nan_is_stored_all_the_same() {
    let script = "import json, sys
json.load(sys.stdin)
print(json.dumps({'score': 0.5, 'per_invocation_scores': [float('nan')], 'details': {'x': [float('inf')]}}))
";
    let (api, _folder) = with_evaluator(script);
    let config = r#"{"evaluators": [{"name": "mine", "type": "code", "path": "mine.py"}]}"#;
    let data = evaluated(&api, &[("trace_files", "t.json", &trace()), ("config", "", config)]).await;
    let results = api.call_on("list_results", data["runId"].as_str().unwrap()).send().await.expect(200);
    let stored = &results["data"][0];
    let metric = &data["traceResults"][0]["metricResults"][0];
    assert_eq!(stored["score"], metric["score"], "{stored}");
    assert_eq!(stored["perInvocationScores"], metric["perInvocationScores"]);
    assert_eq!(stored["details"], metric["details"]);
}

#[tokio::test]
async fn fault_2_the_format_of_traces_can_be_given_everywhere() {
    let api = Api::default();
    let jaeger = jaeger_trace();
    let files = ("trace_files", "t.json", &*jaeger);
    for format in ["jaeger-json", "otlp-json"] {
        let configs =
            [format!(r#"{{"trace_format": "{format}"}}"#), format!(r#"{{"traceFormat": "{format}"}}"#)];
        let mut answers = Vec::new();
        for config in &configs {
            answers.push(evaluated(&api, &[files, ("config", "", config)]).await);
        }
        answers.push(evaluated(&api, &[files, ("config", "", "{}"), ("trace_format", "", format)]).await);
        let is_read = format == "jaeger-json";
        for answer in answers {
            assert_eq!(answer["errors"] == json!([]), is_read, "{answer:#}");
        }
        let traces: Value = serde_json::from_str(&jaeger).unwrap();
        for body in [
            json!({"traces": traces, "traceFormat": format}),
            json!({"traces": traces, "trace_format": format}),
            json!({"traces": traces, "config": {"traceFormat": format}}),
            json!({"traces": traces, "config": {"trace_format": format}}),
        ] {
            let answer = api.call("evaluate_json").json(&body).send().await;
            assert_eq!(answer.status, if is_read { 200 } else { 400 }, "{answer:#?}");
        }
    }
    let parts =
        [files, ("config", "", r#"{"trace_format": "otlp-json"}"#), ("trace_format", "", "jaeger-json")];
    let problem = api.call("evaluate_form").form(&parts).send().await.expect_problem(400, "invalid_upload");
    assert_eq!(problem["errors"][0]["part"], "config");
}

#[tokio::test]
async fn a_document_is_evaluated_whatever_its_format_and_spelling() {
    let api = Api::default();
    for traces in [trace(), jaeger_trace()] {
        let traces: Value = serde_json::from_str(&traces).unwrap();
        let config: Value = serde_json::from_str(CONFIG).unwrap();
        for body in [
            json!({"traces": traces, "config": config, "evalSet": golden()}),
            json!({"traces": traces, "config": config, "eval_set": golden()}),
            json!({"traces": traces, "config": null, "evalSet": golden(), "credentialRefs": {}}),
        ] {
            let answer = api.call("evaluate_json").json(&body).send().await.expect(200);
            assert_eq!(answer["data"]["verdict"], "passed", "{answer:#}");
        }
    }
}

/// Which parts of a form are at fault.
pub(super) fn parts_of(problem: &Value) -> Vec<&str> {
    problem["errors"].as_array().unwrap().iter().filter_map(|fault| fault["part"].as_str()).collect()
}

#[tokio::test]
async fn faults_of_a_form_name_the_part_and_the_place() {
    let api = Api::default();
    let trace = trace();
    let files = ("trace_files", "t.json", &*trace);
    let refused = async |parts: &[(&str, &str, &str)], status, code| {
        let problem = api.call("evaluate_form").form(parts).send().await.expect_problem(status, code);
        let faults = problem["errors"].as_array().unwrap().len();
        assert!(faults > 0, "{problem}");
        problem
    };
    let missing = refused(&[], 422, "missing_part").await;
    assert_eq!(parts_of(&missing), ["trace_files", "config"]);
    assert_eq!(parts_of(&refused(&[files], 422, "missing_part").await), ["config"]);
    assert_eq!(parts_of(&refused(&[("config", "", "{}")], 422, "missing_part").await), ["trace_files"]);
    for (config, pointer) in [
        ("{nope", Value::Null),
        (r#"{"evaluators": [{"name": "nosuch", "type": "builtin"}]}"#, json!("/evaluators/0")),
        (r#"{"metrics": ["x"]}"#, json!("/metrics")),
        (r#"{"trace_format": "xml"}"#, json!("/trace_format")),
        ("[]", json!("")),
    ] {
        let problem = refused(&[files, ("config", "", config)], 400, "invalid_upload").await;
        assert_eq!(parts_of(&problem), ["config"], "{problem}");
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{problem}");
    }
    let named = ("trace_files", "t.yaml", &*trace);
    let problem = refused(&[named, ("config", "", "{}")], 400, "invalid_upload").await;
    assert!(problem["detail"].as_str().unwrap().contains("`t.yaml`"), "{problem}");
    let unknown = ("eval_sets_file", "g.json", "{}");
    let problem = refused(&[files, ("config", "", "{}"), unknown], 400, "invalid_upload").await;
    assert!(problem["detail"].as_str().unwrap().contains("did you mean `eval_set_file`"), "{problem}");
    let twice = [files, ("config", "", "{}"), ("config", "", "{}")];
    assert_eq!(parts_of(&refused(&twice, 400, "invalid_upload").await), ["config"]);
    for (refs, pointer) in [
        ("{nope", Value::Null),
        (r#"["x"]"#, json!("")),
        (r#"{"judge": {"kind": "vault"}}"#, json!("/judge/kind")),
        (r#"{"judge": {"kind": "env", "name": "HOME"}}"#, json!("/judge/name")),
    ] {
        let parts = [files, ("config", "", "{}"), ("credential_refs", "", refs)];
        let problem = refused(&parts, 400, "invalid_upload").await;
        assert_eq!(parts_of(&problem), ["credential_refs"], "{problem}");
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{problem}");
    }
    assert_eq!(api.call("list_runs").send().await.expect(200)["data"], json!([]));
}

#[tokio::test]
async fn faults_of_a_body_have_pointers() {
    let api = Api::default();
    let call = api.call("evaluate_json").header("content-type", "application/json");
    call.body("{").send().await.expect_problem(400, "malformed_json");
    let traces: Value = serde_json::from_str(&trace()).unwrap();
    for (body, status, code, pointer) in [
        (json!({"config": {}}), 422, "invalid_upload", "/traces"),
        (json!({"traces": "x"}), 422, "invalid_upload", "/traces"),
        (
            json!({"traces": traces, "config": {"evaluators": []}}),
            422,
            "invalid_upload",
            "/config/evaluators",
        ),
        (json!({"traces": traces, "traceFormat": "xml"}), 422, "invalid_upload", "/traceFormat"),
        (json!({"traces": traces, "golden": {}}), 422, "invalid_upload", "/golden"),
        (
            json!({"traces": traces, "evalSet": {"eval_set_id": "x"}}),
            400,
            "invalid_upload",
            "/evalSet/eval_cases",
        ),
        (
            json!({"traces": traces, "credentialRefs": {"a": {}}}),
            400,
            "invalid_upload",
            "/credentialRefs/a/kind",
        ),
        (json!({"traces": {"x": 1}}), 400, "no_traces", "/traces"),
        (json!({"traces": {"resourceSpans": []}}), 400, "no_traces", "/traces"),
    ] {
        let problem = api.call("evaluate_json").json(&body).send().await.expect_problem(status, code);
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{problem}");
    }
    assert_eq!(api.call("list_runs").send().await.expect(200)["data"], json!([]));
}

#[tokio::test]
async fn fault_6_nothing_that_can_be_read_is_an_answer_and_a_failed_run() {
    let api = Api::default();
    for (file, code) in [("{nope", "bad_trace"), (r#"{"resourceSpans": []}"#, "no_traces")] {
        let data = evaluated(&api, &[("trace_files", "t.json", file), ("config", "", "{}")]).await;
        assert_eq!((&data["traceResults"], &data["verdict"]), (&json!([]), &json!("errored")));
        assert_eq!(data["performanceMetrics"], Value::Null);
        assert!(!data["errors"].as_array().unwrap().is_empty(), "{data}");
        let run = api.call_on("get_run", data["runId"].as_str().unwrap()).send().await.expect(200);
        assert_eq!((&run["data"]["status"], &run["data"]["errorCode"]), (&json!("failed"), &json!(code)));
    }
    // A file that can be read makes up for one that cannot, but not for the verdict.
    let trace = trace();
    let parts =
        [("trace_files", "a.json", "\u{0}"), ("trace_files", "b.json", &*trace), ("config", "", "{}")];
    let data = evaluated(&api, &parts).await;
    assert_eq!(data["traceResults"].as_array().unwrap().len(), 1);
    assert_eq!((&data["verdict"], data["errors"].as_array().unwrap().len()), (&json!("errored"), 1));
    let run = api.call_on("get_run", data["runId"].as_str().unwrap()).send().await.expect(200);
    assert_eq!((&run["data"]["status"], &run["data"]["verdict"]), (&json!("succeeded"), &json!("errored")));
}

#[tokio::test]
async fn a_golden_that_cannot_be_used_is_among_the_errors() {
    let api = Api::default();
    let golden = ("eval_set_file", "g.json", r#"{"eval_set_id": "x"}"#);
    let data = evaluated(&api, &[("trace_files", "t.json", &trace()), ("config", "", CONFIG), golden]).await;
    assert_eq!(data["traceResults"][0]["metricResults"][0]["evalStatus"], "NOT_EVALUATED");
    assert_eq!(data["verdict"], "errored");
    assert!(data["errors"][0].as_str().unwrap().contains("eval_cases"), "{data}");
}

#[tokio::test]
async fn forms_that_are_none_are_refused() {
    let api = Api::default();
    for operation in ["evaluate_form", "stream_form", "convert_traces", "validate_evalset"] {
        for media_type in
            ["application/json", "multipart/mixed; boundary=x", "application/x-www-form-urlencoded"]
        {
            let call = api.call(operation).header("content-type", media_type).body("{}");
            call.send().await.expect_problem(415, "unsupported_media_type");
        }
        api.call(operation).send().await.expect_problem(415, "unsupported_media_type");
        let call = api.call(operation).header("content-type", "multipart/form-data; boundary=x");
        call.body("--x\r\nnonsense").send().await.expect_problem(400, "malformed_form");
        let call = api.call(operation).header("content-type", "multipart/form-data");
        call.body("").send().await.expect_problem(400, "malformed_form");
    }
    for operation in ["evaluate_json", "stream_json"] {
        let call = api.call(operation).header("content-type", "text/plain").body("{}");
        call.send().await.expect_problem(415, "unsupported_media_type");
    }
}

#[tokio::test]
async fn an_evaluation_that_takes_too_long_is_ended() {
    let (api, _folder) = {
        let folder = TempDir::new().unwrap();
        std::fs::write(folder.path().join("mine.py"), "import time\ntime.sleep(600)").unwrap();
        let code = CodePolicy::for_requests(Some(folder.path().to_owned()));
        let mut settings = ApiSettings { code, ..ApiSettings::default() };
        settings.rules.default_deadline = std::time::Duration::from_secs(1);
        (with_settings(settings), folder)
    };
    let config = r#"{"evaluators": [{"name": "mine", "type": "code", "path": "mine.py"}]}"#;
    let parts = [("trace_files", "t.json", &*trace()), ("config", "", config)];
    let answer = api.call("evaluate_form").form(&parts).send().await;
    answer.expect_problem(504, "deadline_exceeded");
    let runs = api.call("list_runs").send().await.expect(200);
    assert_eq!(runs["data"][0]["errorCode"], "deadline_exceeded");
    assert_eq!(runs["data"][0]["status"], "failed");
}

#[tokio::test]
async fn fault_10_what_went_wrong_inside_is_not_told() {
    let api = Broken::Other.api();
    let data = evaluated(&api, &[("trace_files", "t.json", &trace()), ("config", "", "{}")]).await;
    assert_eq!(data["runId"], Value::Null);
    let warning = data["warnings"][0]["text"].as_str().unwrap();
    assert!(warning.contains("internal error") && !warning.contains("hunter2"), "{warning}");
}

// Nothing of this waits for real: what hangs is given up after seconds.
#[tokio::test(start_paused = true)]
async fn without_storage_the_result_is_answered_with_a_warning() {
    for store in [Broken::Unavailable, Broken::Hang] {
        let api = store.api();
        let data = evaluated(&api, &[("trace_files", "t.json", &trace()), ("config", "", "{}")]).await;
        assert_eq!(data["traceResults"].as_array().unwrap().len(), 1);
        assert_eq!(data["runId"], Value::Null);
        assert_eq!(data["warnings"][0]["code"], "not_recorded");
    }
}
