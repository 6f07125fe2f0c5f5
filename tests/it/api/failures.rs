//! Whatever goes wrong, the answer is a problem document.

use std::io::Write;
use std::sync::{Arc, Mutex};

use agentevals::api::ApiSettings;
use agentevals::runs::Hints;
use agentevals::storage::memory::{MemoryLimits, MemoryStore};
use poem::http::Method;
use serde_json::{Value, json};

use super::broken::Broken;
use super::harness::{Api, submission};

#[tokio::test]
async fn bad_json_is_located() {
    let api = Api::default();
    let call = api.call("submit_run").header("content-type", "application/json");
    let problem = call.body("{\n  \"spec\": nope}").send().await.expect_problem(400, "malformed_json");
    assert!(problem["detail"].as_str().unwrap().contains("line 2 column"), "{problem}");
    for body in [&b""[..], b"\xff"] {
        let call = api.call("submit_run").header("content-type", "application/json");
        call.body(body.to_vec()).send().await.expect_problem(400, "malformed_json");
    }
}

#[tokio::test]
async fn faults_of_a_submission_have_pointers() {
    let api = Api::default();
    for (body, pointer) in [(json!({}), "/spec"), (json!({"spec": {}}), "/spec/target")] {
        let answer = api.call("submit_run").json(&body).send().await;
        let problem = answer.expect_problem(422, "invalid_submission");
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{problem}");
        assert!(problem["detail"].as_str().unwrap().contains(pointer), "{problem}");
    }
}

#[tokio::test]
async fn only_json_is_taken() {
    let api = Api::default();
    for (media_type, status) in [
        (None, 415),
        (Some("text/plain"), 415),
        (Some("application/jsonx"), 415),
        (Some("application/json; charset=utf-8"), 202),
        (Some("application/vnd.acme+json"), 202),
    ] {
        let call = api.call("submit_run").body(submission().to_string());
        let call =
            if let Some(media_type) = media_type { call.header("content-type", media_type) } else { call };
        call.send().await.expect(status);
    }
}

#[tokio::test]
async fn large_bodies_are_refused_declared_or_not() {
    let hints = Hints::default();
    let store = Arc::new(MemoryStore::new(MemoryLimits::default(), hints.clone()));
    let body = submission().to_string();
    let settings = ApiSettings { max_body_bytes: body.len(), ..ApiSettings::default() };
    let api = Api::over(store, &hints, settings);
    let submit = || api.call("submit_run").header("content-type", "application/json");
    submit().body(body.clone()).send().await.expect(202);
    let longer = format!("{body} ");
    submit().body(longer.clone()).send().await.expect_problem(413, "body_too_large");
    submit().header("content-length", 1u64 << 40).send().await.expect_problem(413, "body_too_large");
    let chunks = longer.into_bytes().into_iter().map(|byte| Ok::<_, std::io::Error>(vec![byte]));
    let chunked = poem::Body::from_bytes_stream(futures_util::stream::iter(chunks));
    submit().body(chunked).send().await.expect_problem(413, "body_too_large");
}

#[tokio::test]
async fn bad_parameters_are_named() {
    let api = Api::default();
    for (name, value) in [
        ("limit", "0"),
        ("limit", "1001"),
        ("limit", "x"),
        ("status", "bogus"),
        ("verdict", "bogus"),
        ("label", "nameless"),
        ("label", "=value"),
        ("before", "yesterday"),
        ("createdFrom", ""),
        ("cursor", "bogus"),
    ] {
        let answer = api.call("list_runs").query(name, value).send().await;
        let problem = answer.expect_problem(422, "invalid_parameter");
        assert_eq!(problem["errors"][0]["parameter"], name, "{problem}");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.starts_with(&format!("`{name}`: `{value}` ")), "{detail}");
    }
    let twice = api.call("list_runs").query("limit", 1).query("limit", 2).send().await;
    assert!(
        twice.expect_problem(422, "invalid_parameter")["detail"].as_str().unwrap().contains("more than once")
    );

    for operation in ["get_run", "list_results", "cancel_run", "retry_run", "watch_run"] {
        let problem = api.call_on(operation, "xyz").send().await.expect_problem(422, "invalid_parameter");
        assert_eq!(problem["errors"], json!([{"parameter": "runId", "detail": "`xyz` is no UUID"}]));
    }
    let id = api.submitted(json!({})).await;
    let answer = api.call_on("watch_run", id).header("Last-Event-ID", "x").send().await;
    assert_eq!(answer.expect_problem(422, "invalid_parameter")["errors"][0]["parameter"], "Last-Event-ID");
    let answer = api.call("watch_runs").query("lastEventId", "7").send().await;
    assert_eq!(answer.expect_problem(422, "invalid_parameter")["errors"][0]["parameter"], "lastEventId");
}

#[tokio::test]
async fn unknown_paths_and_methods_are_problems_too() {
    let api = Api::default();
    for path in ["/api/nothing", "/api", "/", "/api/runs/x/y/z"] {
        let problem = api.request(Method::GET, path).send().await.expect_problem(404, "not_found");
        assert!(problem["detail"].as_str().unwrap().contains(path));
    }
    for (method, path, allowed) in [
        (Method::DELETE, "/api/runs", "POST, GET, HEAD"),
        (Method::PUT, "/api/runs/7", "GET, HEAD, DELETE"),
        (Method::POST, "/api/runs/events", "GET, HEAD"),
        (Method::GET, "/api/runs/7/cancel", "POST"),
        (Method::POST, "/livez", "GET, HEAD"),
        (Method::POST, "/docs", "GET, HEAD"),
    ] {
        let answer = api.request(method, path).send().await;
        answer.expect_problem(405, "method_not_allowed");
        let names =
            |text: &str| text.split(", ").map(str::to_owned).collect::<std::collections::BTreeSet<_>>();
        assert_eq!(names(answer.header("allow")), names(allowed), "{path}");
    }
}

#[tokio::test]
async fn probes_tell_life_from_readiness() {
    let api = Api::default();
    assert_eq!(api.call("get_liveness").send().await.expect(200)["status"], "ok");
    assert_eq!(api.call("get_readiness").send().await.expect(200)["status"], "ok");
    api.shutdown.cancel();
    api.call("get_liveness").send().await.expect(200);
    api.call("get_readiness").send().await.expect_problem(503, "stopping");

    let api = Broken::Unavailable.api();
    api.call("get_liveness").send().await.expect(200);
    let answer = api.call("get_readiness").send().await;
    answer.expect_problem(503, "unavailable");
    assert_eq!(answer.header("retry-after"), "2");
}

#[tokio::test(start_paused = true)]
async fn storage_that_hangs_is_not_ready() {
    let started = tokio::time::Instant::now();
    let api = Broken::Hang.api();
    api.call("get_readiness").send().await.expect_problem(503, "unavailable");
    assert_eq!(started.elapsed().as_secs(), 2);
}

#[tokio::test]
async fn an_outage_is_told_without_its_particulars() {
    let api = Broken::Unavailable.api();
    for call in [api.call("list_runs"), api.call("watch_runs"), api.call("submit_run").json(&submission())] {
        let answer = call.send().await;
        answer.expect_problem(503, "unavailable");
        assert_eq!(answer.header("retry-after"), "2");
        assert!(!answer.text.contains("db-7"), "{}", answer.text);
    }
}

#[tokio::test]
async fn full_storage_says_so() {
    let api = Api::with_limits(MemoryLimits { runs: 0, ..MemoryLimits::default() });
    let answer = api.call("submit_run").json(&submission()).send().await;
    let problem = answer.expect_problem(503, "storage_full");
    assert!(problem["detail"].as_str().unwrap().starts_with("storage is full: "), "{problem}");
}

#[tokio::test]
async fn request_ids_are_taken_over_if_they_are_harmless() {
    let api = Api::default();
    for (given, is_taken) in [
        ("abc.DEF_1-2", true),
        (&*"x".repeat(64), true),
        ("", false),
        (&*"x".repeat(65), false),
        ("a b", false),
    ] {
        let answer = api.request(Method::GET, "/nothing").header("X-Request-Id", given).send().await;
        assert_eq!(answer.header("x-request-id") == given, is_taken, "{given}");
    }
}

/// What is logged while it lives, on this thread.
#[derive(Clone, Default)]
pub(super) struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    pub(super) fn capture(&self) -> tracing::subscriber::DefaultGuard {
        let log = self.clone();
        let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || log.clone()).finish();
        tracing::subscriber::set_default(subscriber)
    }

    pub(super) fn lines(&self) -> Vec<String> {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap().lines().map(str::to_owned).collect()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn assert_internal(problem: &Value) {
    assert_eq!(problem["detail"], "internal error");
    assert_eq!(problem["errors"], json!([]));
}

#[tokio::test]
async fn a_fault_of_ours_is_logged_once_and_kept_from_the_client() {
    let log = Log::default();
    let _guard = log.capture();
    let answer = Broken::Other.api().call("list_runs").header("x-request-id", "r-1").send().await;
    assert_internal(&answer.expect_problem(500, "internal"));
    assert!(!answer.text.contains("hunter2"));
    let lines = log.lines();
    let about: Vec<_> = lines.iter().filter(|line| line.contains("syntax error")).collect();
    assert_eq!(about.len(), 1, "{lines:#?}");
    assert!(about[0].contains("r-1") && about[0].contains("ERROR"), "{}", about[0]);
}

#[tokio::test]
async fn a_panic_is_an_answer_like_any_other() {
    let log = Log::default();
    let _guard = log.capture();
    let api = Broken::Panic.api();
    assert_internal(&api.call("list_runs").send().await.expect_problem(500, "internal"));
    assert!(log.lines().iter().any(|line| line.contains("panicked: the store panics")));
    api.call("get_liveness").send().await.expect(200);
}

#[tokio::test]
async fn every_request_is_logged_without_its_query() {
    let log = Log::default();
    let _guard = log.capture();
    let api = Api::default();
    let call = api.request(Method::GET, "/livez").query("token", "secret");
    call.header("x-request-id", "r-2").send().await;
    let lines = log.lines();
    let line = lines.iter().find(|line| line.contains("r-2")).unwrap_or_else(|| panic!("{lines:#?}"));
    for part in ["INFO", "GET", "/livez", "200", "duration_ms"] {
        assert!(line.contains(part), "{line}");
    }
    assert!(!lines.iter().any(|line| line.contains("secret")), "{lines:#?}");
}
