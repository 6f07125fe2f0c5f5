//! Traces that are fetched: whom they are had from, what goes along, and what it costs a run when they are not.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use agentevals::credentials::{Cluster, CredentialRules, Credentials, Secret};
use agentevals::evaluators::CodePolicy;
use agentevals::ids::RunId;
use agentevals::net::Outbound;
use agentevals::queue::{Evaluation, ExecutedRun, ExecutionError, Executor, Resources};
use agentevals::runs::{EventKind, Failure, RunStatus, Verdict};
use agentevals::sources::FetchLimits;
use agentevals::spec::{Submission, SubmissionRules};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::support::http_server::{HttpServer, Reply};
use crate::support::runs::{TestStore, claimed, finished, on_both, resources, start_worker};
use crate::support::tls::TlsFront;
use crate::support::{TRACE, assistant, golden_turn, gzipped, jaeger, jaeger_span, otlp, question, user};

/// What the agent said, by OpenTelemetry's exporter.
fn trace() -> Value {
    otlp([question(1, "Hello?", "Hello.")])
}

/// The trace behind a URL, held against what the agent should have said.
fn spec(base: &str) -> Value {
    let case = json!({"eval_id": "greeting", "conversation": [golden_turn("Hello?", "Hello.")]});
    json!({
        "target": {"kind": "http", "baseUrl": base, "traceId": TRACE},
        "evalSet": {"eval_set_id": "greetings", "eval_cases": [case]},
        "evalConfig": {"evaluators": [{"name": "response_match_score", "type": "builtin"}]},
    })
}

/// May call this machine, and has nothing else.
fn plain() -> Resources {
    resources(CodePolicy::Refused)
}

fn calling(rules: &str) -> Resources {
    Resources { outbound: Outbound::new(rules.parse().unwrap()).unwrap(), ..plain() }
}

fn within(limits: FetchLimits) -> Resources {
    Resources { fetch: limits, ..plain() }
}

/// The run that a service with these resources makes of a specification.
fn submit(spec: &Value, resources: &Resources) -> Submission {
    let rules = SubmissionRules {
        outbound: resources.outbound.rules().clone(),
        credentials: resources.credentials.rules().clone(),
        ..SubmissionRules::default()
    };
    Submission::parse(&json!({"spec": spec}).to_string(), &rules).unwrap_or_else(|error| panic!("{error}"))
}

async fn execute(spec: &Value, resources: Resources) -> Result<ExecutedRun, ExecutionError> {
    let run = submit(spec, &resources);
    let (claimed, cancel) = (claimed(run.id, &run.spec), CancellationToken::new());
    Evaluation::new(resources).execute(&claimed, &|_| {}, &cancel).await
}

/// The failure of an execution, whether another attempt is worth it, and when.
async fn failure(spec: &Value, resources: Resources) -> (Failure, bool, Option<Duration>) {
    match execute(spec, resources).await {
        Err(ExecutionError::Permanent(failure)) => (failure, false, None),
        Err(ExecutionError::Transient { failure, retry_after }) => (failure, true, retry_after),
        other => panic!("{spec}: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn traces_are_read_as_common_servers_answer_them() {
    let messages = json!({
        "gen_ai.operation.name": "chat",
        "gen_ai.input.messages": json!([user("Hello?")]).to_string(),
        "gen_ai.output.messages": json!([assistant("Hello.")]).to_string(),
    });
    let spans = &trace()["resourceSpans"];
    for (server, path, answer) in [
        ("Jaeger", "/api/traces", jaeger([jaeger_span(1, json!([]), messages)])),
        ("Jaeger, version 3 of its API", "/api/v3/traces/", json!({"result": {"resourceSpans": spans}})),
        ("Tempo", "/api/traces", json!({"batches": spans})),
        ("Tempo, version 2 of its API", "/api/v2/traces", json!({"trace": {"resourceSpans": spans}})),
        ("a file server", "/exports", trace()),
    ] {
        let listening = HttpServer::scripted([Reply::json(&answer)]).await;
        let evaluated = execute(&spec(&listening.url(path)), plain()).await.unwrap();
        assert_eq!((evaluated.verdict, evaluated.total), (Verdict::Passed, 1), "{server}");
        let request = listening.only_request();
        assert_eq!(request.method, "GET");
        assert_eq!(request.target, format!("{}/{TRACE}", path.trim_end_matches('/')), "{server}");
        assert_eq!(request.header("accept"), Some("application/json"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compressed_trace_is_read_and_counted_as_what_it_becomes() {
    let small = Reply::text(200, gzipped(trace().to_string().as_bytes()));
    let bomb = Reply::text(200, gzipped(&vec![b' '; 2 << 20]));
    let server = HttpServer::scripted([small, bomb]).await;
    let limits = FetchLimits { max_bytes: 1 << 20, ..FetchLimits::default() };
    let spec = spec(&server.url("/"));
    assert_eq!(execute(&spec, within(limits)).await.unwrap().verdict, Verdict::Passed);
    let (failure, is_transient, _) = failure(&spec, within(limits)).await;
    assert_eq!((&*failure.code, is_transient), ("trace_too_large", false), "{failure:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_pass_is_told_from_what_will_not() {
    let limits = FetchLimits { timeout: Duration::from_millis(300), max_bytes: 64 << 10 };
    let json = |text: &str| Reply::text(200, text);
    for (reply, code, is_passing, message) in [
        (Reply::status(400), "fetch_failed", false, "the answer was 400 Bad Request"),
        (Reply::status(401), "fetch_failed", false, "check the credentials in `context.headers`"),
        (Reply::status(403), "fetch_failed", false, "check the credentials in `context.headers`"),
        (Reply::status(404), "trace_not_found", false, "is the trace stored already, and the id right?"),
        (Reply::status(410), "trace_not_found", false, "410 Gone"),
        (Reply::status(408), "fetch_failed", true, "408 Request Timeout"),
        (Reply::status(429), "fetch_failed", true, "429 Too Many Requests"),
        (Reply::status(500), "fetch_failed", true, "500 Internal Server Error"),
        (Reply::status(503), "fetch_failed", true, "503 Service Unavailable"),
        (Reply::status(304), "fetch_failed", false, "304 Not Modified"),
        (Reply::closing(), "fetch_failed", true, "could not be reached"),
        (Reply::hanging(), "fetch_failed", true, "did not answer in full within 0.3 s"),
        (Reply::stalling(), "fetch_failed", true, "did not answer in full within 0.3 s"),
        (Reply::endless(), "trace_too_large", false, "more than 65536 bytes"),
        (Reply::redirect(302, "/again"), "fetch_failed", false, "again after 5 redirects, the limit"),
        (Reply::redirect(307, "http://169.254.169.254/latest"), "fetch_refused", false, "link-local"),
        (Reply::redirect(301, "file:///etc/passwd"), "fetch_refused", false, "use http or https"),
        (json("<html>"), "bad_trace", false, ""),
        (json(""), "bad_trace", false, ""),
        (json("{}"), "bad_trace", false, "expected OTLP JSON"),
        (json(r#"{"resourceSpans":[]}"#), "no_traces", false, "there are no spans"),
        (json(r#"{"data":[]}"#), "no_traces", false, "there are no spans"),
        (json("\u{0}"), "bad_trace", false, ""),
        (Reply::text(200, [0xff, 0xfe]), "bad_trace", false, "UTF-8"),
        (Reply::text(200, [0x1f, 0x8b, 0]), "bad_trace", false, "gzip"),
    ] {
        let server = HttpServer::scripted([reply.clone()]).await;
        let base = server.url("/t?key=s3cret").replacen("//", "//me:s3cret@", 1);
        let (failure, is_transient, _) = failure(&spec(&base), within(limits)).await;
        assert_eq!((&*failure.code, is_transient), (code, is_passing), "{reply:?}: {failure:?}");
        assert!(failure.message.contains(message), "{reply:?}: {failure:?}");
        assert!(!failure.message.contains("s3cret"), "{failure:?}");
        // In whatever words, it is said whose answer it was.
        let is_named = failure.message.contains(&server.url(&format!("/t/{TRACE}")));
        assert!(is_named || failure.code == "no_traces", "{failure:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_format_that_is_given_is_the_one_that_is_read() {
    let server = HttpServer::scripted([Reply::json(&trace())]).await;
    let mut spec = spec(&server.url("/"));
    spec["target"]["traceFormat"] = "jaeger-json".into();
    let (failure, ..) = failure(&spec, plain()).await;
    assert_eq!(failure.code, "bad_trace");
    assert!(failure.message.contains("is not jaeger-json"), "{failure:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_says_how_long_to_wait() {
    for (status, said, expected) in [(503, "7", 7), (429, "86400", 3600)] {
        let server = HttpServer::scripted([Reply::status(status).header("Retry-After", said)]).await;
        let (.., wait) = failure(&spec(&server.url("/")), plain()).await;
        assert_eq!(wait, Some(Duration::from_secs(expected)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_that_may_not_be_called_are_not() {
    let server = HttpServer::scripted([Reply::json(&trace())]).await;
    let named = format!("http://localhost:{}/", server.address().port());
    let (failure, is_transient, _) = failure(&spec(&named), calling("")).await;
    assert_eq!((&*failure.code, is_transient), ("fetch_refused", false));
    assert!(failure.message.contains("`localhost` leads to"), "{failure:?}");
    assert!(failure.message.contains("AGENTEVALS_OUTBOUND_ALLOW"), "{failure:?}");

    // Accepted by a service that allows more than the worker does.
    let run = submit(&spec(&server.url("/")), &plain());
    let cancel = CancellationToken::new();
    let worker = Evaluation::new(calling("10.0.0.0/8"));
    match worker.execute(&claimed(run.id, &run.spec), &|_| {}, &cancel).await {
        Err(ExecutionError::Permanent(failure)) => {
            assert_eq!(failure.code, "bad_spec");
            assert!(failure.message.contains("`127.0.0.1` is not public (loopback)"), "{failure:?}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(server.requests(), []);
}

/// Has credentials of every kind.
fn with_credentials(folder: &TempDir, cluster: Option<Cluster>) -> Resources {
    std::fs::write(folder.path().join("token"), "of-a-file\n").unwrap();
    let rules = CredentialRules {
        variables: ["TEAM_TOKEN", "UNSET"].map(str::to_owned).into(),
        directory: Some(folder.path().to_owned()),
        secrets: ["team/tempo".parse().unwrap()].into(),
    };
    let variables = [("TEAM_TOKEN".to_owned(), Secret::new("of-a-variable"))].into();
    Resources { credentials: Credentials::new(rules, variables, cluster), ..plain() }
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_go_along_wherever_their_values_are() {
    let server = HttpServer::scripted([Reply::json(&trace())]).await;
    let folder = tempfile::tempdir().unwrap();
    let mut spec = spec(&server.url("/"));
    spec["context"] = json!({"note": 1, "headers": {
        "X-Org": "7",
        "Accept": "application/protobuf;q=0, application/json",
        "X-Team": {"fromEnv": "TEAM_TOKEN"},
        "Authorization": {"credentialRef": "tempo", "prefix": "Bearer "},
    }});
    spec["credentialRefs"] = json!({"tempo": {"kind": "file", "path": "token"}});
    execute(&spec, with_credentials(&folder, None)).await.unwrap();
    let request = server.only_request();
    for (name, value) in [
        ("x-org", "7"),
        ("accept", "application/protobuf;q=0, application/json"),
        ("x-team", "of-a-variable"),
        ("authorization", "Bearer of-a-file"),
    ] {
        assert_eq!(request.header(name), Some(value), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_in_the_url_becomes_basic_authentication() {
    let server = HttpServer::scripted([Reply::json(&trace())]).await;
    let base = server.url("/t/{traceId}/spans?limit=9").replacen("//", "//me:p%40ss@", 1);
    execute(&spec(&base), plain()).await.unwrap();
    let request = server.only_request();
    assert_eq!(request.target, format!("/t/{TRACE}/spans?limit=9"));
    assert_eq!(request.header("authorization"), Some("Basic bWU6cEBzcw=="));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_credential_nothing_is_asked() {
    let server = HttpServer::scripted([Reply::json(&trace())]).await;
    let folder = tempfile::tempdir().unwrap();
    let busy = HttpServer::scripted([Reply::status(503)]).await;
    let cluster_api = TlsFront::start(busy.address()).await;
    let cluster = Cluster {
        url: cluster_api.url("/").parse().unwrap(),
        token: folder.path().join("token"),
        authority: cluster_api.authority(),
    };
    let secret = json!({"kind": "kubernetes", "namespace": "team", "name": "tempo", "key": "token"});
    for (reference, code, is_passing, message) in [
        (json!({"kind": "env", "name": "UNSET"}), "bad_credential", false, "variable `UNSET` is not set"),
        (json!({"kind": "file", "path": "absent"}), "bad_credential", false, "file `absent`"),
        (secret, "credential_unavailable", true, "the Kubernetes API answered 503"),
    ] {
        let mut spec = spec(&server.url("/"));
        spec["context"] = json!({"headers": {"X-Key": {"credential_ref": "key"}}});
        spec["credential_refs"] = json!({"key": reference});
        let (failure, is_transient, _) =
            failure(&spec, with_credentials(&folder, Some(cluster.clone()))).await;
        assert_eq!((&*failure.code, is_transient), (code, is_passing), "{failure:?}");
        assert!(failure.message.contains(message), "{failure:?}");
        assert!(failure.message.contains("credential `key`"), "{failure:?}");
    }
    assert_eq!(server.requests(), []);
}

on_both! {
    a_server_that_is_away_for_a_while_costs_attempts_and_nothing_else,
    a_server_that_stays_away_fails_the_run_when_attempts_are_out,
    a_trace_that_is_not_there_fails_its_run_at_once,
    a_run_is_not_tried_again_before_the_server_wants_it,
    cancelling_ends_a_fetch_that_hangs,
    a_fetch_that_hangs_ends_with_the_deadline,
}

/// Submits the run of a trace behind a URL to a store over which a worker has been started.
async fn submitted(store: &TestStore, base: &str, change: impl FnOnce(&mut Submission)) -> RunId {
    let executor = Arc::new(Evaluation::new(plain()));
    start_worker(store.store.clone(), &store.hints, executor, |_| {});
    let mut run = submit(&spec(base), &plain());
    change(&mut run);
    store.submit_one(run).await
}

/// Code and text of each time that the run went back to the queue.
async fn requeued(store: &TestStore, run: RunId) -> Vec<(String, String)> {
    let events = store.events_of(run).await.into_iter();
    let back = events.filter(|event| event.kind == EventKind::Requeued);
    back.map(|event| (event.data.code.unwrap(), event.data.message.unwrap())).collect()
}

/// Upstream's run-pipeline fault 7: a server that was away for a moment failed the run.
async fn a_server_that_is_away_for_a_while_costs_attempts_and_nothing_else(store: TestStore) {
    let away = Reply::status(503);
    let server = HttpServer::scripted([away.clone(), away, Reply::json(&trace())]).await;
    let run = submitted(&store, &server.url("/"), |_| {}).await;
    let run = finished(&store, run).await;
    assert_eq!((run.status, run.verdict, run.attempt), (RunStatus::Succeeded, Some(Verdict::Passed), 3));
    assert_eq!(store.places(run.id).await, [0]);
    let text =
        format!("fetching {}: the answer was 503 Service Unavailable", server.url(&format!("/{TRACE}")));
    assert_eq!(requeued(&store, run.id).await, vec![("fetch_failed".to_owned(), text); 2]);
    assert_eq!(server.requests().len(), 3);
}

async fn a_server_that_stays_away_fails_the_run_when_attempts_are_out(store: TestStore) {
    let server = HttpServer::scripted([Reply::status(500)]).await;
    let run = submitted(&store, &server.url("/"), |run| run.max_attempts = 2).await;
    let run = finished(&store, run).await;
    assert_eq!(
        (run.status, run.attempt, run.failure.unwrap().code),
        (RunStatus::Failed, 2, "fetch_failed".into())
    );
    assert_eq!(server.requests().len(), 2);
}

async fn a_trace_that_is_not_there_fails_its_run_at_once(store: TestStore) {
    let server = HttpServer::scripted([Reply::status(404)]).await;
    let run = submitted(&store, &server.url("/"), |_| {}).await;
    let run = finished(&store, run).await;
    assert_eq!((run.status, run.attempt), (RunStatus::Failed, 1));
    assert_eq!(run.failure.unwrap().code, "trace_not_found");
    server.only_request();
}

async fn a_run_is_not_tried_again_before_the_server_wants_it(store: TestStore) {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let times = asked.clone();
    let server = HttpServer::start(move |number, _| {
        times.lock().unwrap().push(Instant::now());
        match number {
            0 => Reply::status(429).header("Retry-After", "1"),
            _ => Reply::json(&trace()),
        }
    })
    .await;
    let run = submitted(&store, &server.url("/"), |_| {}).await;
    assert_eq!(finished(&store, run).await.status, RunStatus::Succeeded);
    let asked = asked.lock().unwrap();
    let waited = asked[1] - asked[0];
    assert!(waited >= Duration::from_secs(1), "it was asked again after {waited:?}");
}

/// Far less than a fetch may take, and enough on a busy machine.
const PROMPTLY: Duration = Duration::from_secs(5);

async fn cancelling_ends_a_fetch_that_hangs(store: TestStore) {
    let server = HttpServer::scripted([Reply::hanging()]).await;
    let run = submitted(&store, &server.url("/"), |_| {}).await;
    server.wait_for(1).await;
    let cancelled = Instant::now();
    store.cancel(run).await.unwrap();
    assert_eq!(finished(&store, run).await.status, RunStatus::Cancelled);
    server.wait_until_left().await;
    assert!(cancelled.elapsed() < PROMPTLY, "{:?}", cancelled.elapsed());
}

async fn a_fetch_that_hangs_ends_with_the_deadline(store: TestStore) {
    let server = HttpServer::scripted([Reply::stalling()]).await;
    let run = submitted(&store, &server.url("/"), |run| run.deadline = Duration::from_secs(1)).await;
    let run = finished(&store, run).await;
    assert_eq!((run.status, run.failure.unwrap().code), (RunStatus::Failed, "deadline_exceeded".into()));
    server.wait_until_left().await;
}
