//! Streams of evaluations, and what is done about uploads that are too large, too many, or whose sender has gone;
//! `fault_N` would find a fault of the reference (agentevals 0.11), which has these:
//!
//! 5. Uploads are read into memory before their size is looked at, and some have no limit.
//! 8. Streams repeat all results after each metric, send no signs of life and number nothing.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use agentevals::api::ApiSettings;
use agentevals::runs::Hints;
use agentevals::storage::Storage;
use agentevals::storage::memory::{MemoryLimits, MemoryStore};
use futures_util::{Stream, StreamExt};
use poem::listener::{Acceptor, Listener, TcpListener};
use poem::web::sse::Event;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::document::document;
use super::evaluate::{CONFIG, golden, trace, with_evaluator, with_settings};
use super::harness::{Api, form};
use super::schema;
use crate::support::runs::{PATIENCE, TestStore, on_both, services, until};
use crate::support::{otlp, question};

/// An event as it was received.
struct ReceivedUpdate {
    id: String,
    event: String,
    data: Value,
}

/// All events of a stream, held against the document.
async fn told(mut stream: impl Stream<Item = Event> + Unpin) -> Vec<ReceivedUpdate> {
    let (document, mut told) = (document(), Vec::new());
    let schema = json!({"$ref": "#/components/schemas/EvaluationEvent"});
    while let Some(event) = tokio::time::timeout(PATIENCE, stream.next()).await.expect("the stream ends") {
        let Event::Message { id, event, data } = event else { panic!("{event:?}") };
        let data: Value = serde_json::from_str(&data).unwrap();
        let faults = schema::faults(&data, &schema, &document);
        assert!(faults.is_empty(), "{faults:#?}\n{data:#}");
        told.push(ReceivedUpdate { id, event, data });
    }
    told
}

const TWO_METRICS: &str = r#"{"evaluators": [{"name": "response_match_score", "type": "builtin"},
    {"name": "tool_call_count_v1", "type": "builtin"}]}"#;

/// Two traces.
fn traces() -> Value {
    let mut other = question(2, "Bye?", "Bye.");
    other["traceId"] = "1af7651916cd43dd8448eb211c80319c".into();
    otlp([question(1, "Hello?", "Hello."), other])
}

#[tokio::test]
async fn fault_8_a_stream_tells_of_each_metric_once_and_numbers_its_events() {
    let api = Api::default();
    let body = json!({"traces": traces(), "config": serde_json::from_str::<Value>(TWO_METRICS).unwrap(),
        "evalSet": golden()});
    let events = told(api.call("stream_json").json(&body).follow().await).await;
    let ids: Vec<_> = events.iter().map(|told| told.id.parse::<usize>().unwrap()).collect();
    assert_eq!(ids, (1..=events.len()).collect::<Vec<_>>());
    let performance: Vec<_> = events.iter().filter(|told| told.event == "performance_metrics").collect();
    assert_eq!(performance.len(), 2);
    let metadata = &performance[0].data["traceMetadata"];
    assert_eq!(
        (&metadata["userInputPreview"], &metadata["serviceName"]),
        (&json!("Hello?"), &json!("tests"))
    );
    assert_eq!(metadata["startTime"], 1_000_000);
    assert_eq!(performance[0].data["performanceMetrics"]["counts"]["llmCalls"], 1);
    let mut metrics = Vec::new();
    for progress in events.iter().filter_map(|told| told.data.get("traceProgress")) {
        let partial = &progress["partialResult"];
        let [metric] = &partial["metricResults"].as_array().unwrap()[..] else { panic!("{partial:#}") };
        metrics.push((progress["traceId"].as_str().unwrap(), metric["metricName"].as_str().unwrap()));
        // What belongs to all metrics of a trace is told with the first one.
        let is_first = metric["metricName"] == "response_match_score";
        assert_eq!(partial["performanceMetrics"].is_object(), is_first, "{partial:#}");
        assert_eq!(partial["turnRefs"].as_array().unwrap().len(), usize::from(is_first));
    }
    metrics.sort_unstable();
    let ids = ["0af7651916cd43dd8448eb211c80319c", "1af7651916cd43dd8448eb211c80319c"];
    let names = ["response_match_score", "tool_call_count_v1"];
    assert_eq!(metrics, [(ids[0], names[0]), (ids[0], names[1]), (ids[1], names[0]), (ids[1], names[1])]);
    assert!(events.iter().any(|told| told.data["message"] == "evaluating 2 traces"));
    let last = &events.last().unwrap().data;
    assert_eq!(last["done"], true);
    let run = api.call_on("get_run", last["result"]["runId"].as_str().unwrap()).send().await.expect(200);
    assert_eq!(run["data"]["verdict"], last["result"]["verdict"]);
}

#[tokio::test]
async fn a_conversation_is_told_of_before_its_slow_metrics_are_done() {
    let (api, folder) = with_evaluator(WAITING);
    let config = json!({"evaluators": [{"name": "mine", "type": "code", "path": "mine.py"}]}).to_string();
    let parts = [("trace_files", "t.json", &*trace()), ("config", "", &*config)];
    let mut stream = api.call("stream_form").form(&parts).follow().await;
    let mut names = Vec::new();
    while let Some(Event::Message { event, data, .. }) = stream.next().await {
        names.push(event);
        if data.contains("running mine") {
            break;
        }
    }
    assert!(names.iter().any(|name| name == "performance_metrics"), "{names:?}");
    std::fs::write(folder.path().join("go"), "").unwrap();
    let rest = told(stream).await;
    assert_eq!(rest.last().unwrap().data["done"], true);
}

/// An evaluator that says that it runs, and waits until it may go on.
const WAITING: &str = "import json, os, pathlib, sys, time
here = pathlib.Path(__file__).parent
json.load(sys.stdin)
(here / 'pid').write_text(str(os.getpid()))
while not (here / 'go').exists():
    time.sleep(0.02)
print(json.dumps({'score': 1.0}))
";

#[tokio::test]
async fn what_is_wrong_is_the_last_event_of_a_stream() {
    let api = Api::default();
    let form = [("trace_files", "t.json", &*trace()), ("config", "", "{nope")];
    let events = told(api.call("stream_form").form(&form).follow().await).await;
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].data["code"], "invalid_upload");
    assert!(
        events[0].data["error"].as_str().unwrap().starts_with("`config`: is not JSON"),
        "{}",
        events[0].data
    );
    for (body, code) in [(json!({"traces": {"x": 1}}), "no_traces"), (json!({}), "invalid_upload")] {
        let events = told(api.call("stream_json").json(&body).follow().await).await;
        assert_eq!((events.len(), &events[0].data["code"]), (1, &json!(code)));
    }
    // Files that cannot be read are no fault of the request.
    let form = [("trace_files", "t.json", "{nope"), ("config", "", "{}")];
    let events = told(api.call("stream_form").form(&form).follow().await).await;
    let last = &events.last().unwrap().data;
    assert_eq!((&last["done"], &last["result"]["verdict"]), (&json!(true), &json!("errored")));
}

#[tokio::test]
async fn fault_8_an_idle_stream_shows_that_it_lives() {
    let (api, folder) = with_evaluator(WAITING);
    let config = json!({"evaluators": [{"name": "mine", "type": "code", "path": "mine.py"}]}).to_string();
    let parts = [("trace_files", "t.json", &*trace()), ("config", "", &*config)];
    let response = api.call("stream_form").form(&parts).raw().await;
    let mut body = response.into_body().into_bytes_stream();
    let mut text = String::new();
    while !text.contains("running mine") {
        text.push_str(std::str::from_utf8(&body.next().await.unwrap().unwrap()).unwrap());
    }
    tokio::time::pause();
    for _ in 0..2 {
        tokio::time::advance(Duration::from_secs(16)).await;
        let next = body.next().await.unwrap().unwrap();
        assert_eq!(&next[..], b":\n\n");
    }
    tokio::time::resume();
    std::fs::write(folder.path().join("go"), "").unwrap();
    while !text.contains(r#""done":true"#) {
        text.push_str(std::str::from_utf8(&body.next().await.unwrap().unwrap()).unwrap());
    }
}

#[tokio::test]
async fn streams_end_when_the_service_stops() {
    let (api, folder) = with_evaluator(WAITING);
    let config = json!({"evaluators": [{"name": "mine", "type": "code", "path": "mine.py"}]}).to_string();
    let parts = [("trace_files", "t.json", &*trace()), ("config", "", &*config)];
    let stream = api.call("stream_form").form(&parts).follow().await;
    let pid = running(folder.path()).await;
    api.shutdown.cancel();
    let events = told(stream).await;
    assert_eq!(events.last().unwrap().data["code"], "stopping");
    gone(pid).await;
}

/// The process of the evaluator, once it runs.
async fn running(folder: &Path) -> u32 {
    let pid = || std::fs::read_to_string(folder.join("pid")).ok()?.parse::<u32>().ok();
    until(|| async { pid().is_some() }).await;
    pid().unwrap()
}

/// Waits until a process has ended.
async fn gone(pid: u32) {
    let lives = || {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit(')').next().is_some_and(|rest| !rest.is_empty() && !rest.trim_start().starts_with('Z'))
    };
    until(|| async { !lives() }).await;
}

/// The service behind a socket.
struct Served {
    address: SocketAddr,
    _stop: DropGuard,
}

impl Served {
    async fn new(settings: ApiSettings) -> Self {
        let (hints, stop) = (Hints::default(), CancellationToken::new());
        let store: Arc<dyn Storage> = Arc::new(MemoryStore::new(MemoryLimits::default(), hints.clone()));
        let app = agentevals::api::app(services(&store, &hints), settings, stop.clone());
        let acceptor = TcpListener::bind("127.0.0.1:0").into_acceptor().await.unwrap();
        let address = *acceptor.local_addr()[0].as_socket_addr().unwrap();
        let end = stop.clone().cancelled_owned();
        tokio::spawn(async move {
            let server = poem::Server::new_with_acceptor(acceptor);
            server.run_with_graceful_shutdown(app, end, Some(Duration::ZERO)).await.unwrap();
        });
        Self { address, _stop: stop.drop_guard() }
    }

    /// Sends the head of a request.
    async fn begin(&self, path: &str, headers: &str) -> TcpStream {
        let mut socket = TcpStream::connect(self.address).await.unwrap();
        let head = format!("POST {path} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n\r\n");
        socket.write_all(head.as_bytes()).await.unwrap();
        socket
    }
}

const MULTIPART: &str = "Content-Type: multipart/form-data; boundary=0123456789-boundary";

#[tokio::test]
async fn the_evaluation_stops_when_the_client_goes_away() {
    for path in ["/api/evaluate", "/api/evaluate/stream"] {
        let folder = TempDir::new().unwrap();
        std::fs::write(folder.path().join("mine.py"), WAITING).unwrap();
        let code = agentevals::evaluators::CodePolicy::for_requests(Some(folder.path().to_owned()));
        let service = Served::new(ApiSettings { code, max_evaluations: 1, ..ApiSettings::default() }).await;
        let config = json!({"evaluators": [{"name": "mine", "type": "code", "path": "mine.py"}]}).to_string();
        let body = form(&[("trace_files", "t.json", &trace()), ("config", "", &config)]);
        let mut socket = service.begin(path, &format!("{MULTIPART}\r\nContent-Length: {}", body.len())).await;
        socket.write_all(body.as_bytes()).await.unwrap();
        let pid = running(folder.path()).await;
        drop(socket);
        gone(pid).await;
        // Its slot is free for another.
        let body = form(&[("trace_files", "t.json", &trace()), ("config", "", CONFIG)]);
        let mut socket =
            service.begin("/api/evaluate", &format!("{MULTIPART}\r\nContent-Length: {}", body.len())).await;
        socket.write_all(body.as_bytes()).await.unwrap();
        assert_eq!(status(&mut socket).await, "200");
    }
}

/// The status of the answer that comes.
async fn status(socket: &mut TcpStream) -> String {
    let mut head = [0; 12];
    tokio::time::timeout(PATIENCE, socket.read_exact(&mut head)).await.expect("an answer comes").unwrap();
    String::from_utf8_lossy(&head[9..]).into_owned()
}

#[tokio::test]
async fn fault_5_an_upload_is_read_no_further_than_the_limit() {
    let service = Served::new(ApiSettings { max_body_bytes: 64 << 10, ..ApiSettings::default() }).await;
    for path in ["/api/evaluate", "/api/evaluate/stream", "/api/convert", "/api/validate/eval-set"] {
        // One that says how large it is is refused before anything of it is sent.
        let mut socket = service.begin(path, &format!("{MULTIPART}\r\nContent-Length: 65537")).await;
        assert_eq!(status(&mut socket).await, "413", "{path}");
        // One that does not is refused as soon as it is too large, though it never ends.
        let mut socket = service.begin(path, &format!("{MULTIPART}\r\nTransfer-Encoding: chunked")).await;
        let head = "--0123456789-boundary\r\nContent-Disposition: form-data; name=\"trace_files\"; filename=\"t.json\"\r\n\r\n";
        chunk(&mut socket, head.as_bytes()).await;
        for _ in 0..16 {
            chunk(&mut socket, &[b' '; 4 << 10]).await;
        }
        assert_eq!(status(&mut socket).await, "413", "{path}");
    }
    for path in ["/api/evaluate/json", "/api/evaluate/json/stream"] {
        let json = "Content-Type: application/json";
        let mut socket = service.begin(path, &format!("{json}\r\nContent-Length: 65537")).await;
        assert_eq!(status(&mut socket).await, "413", "{path}");
        let mut socket = service.begin(path, &format!("{json}\r\nTransfer-Encoding: chunked")).await;
        for _ in 0..17 {
            chunk(&mut socket, &[b' '; 4 << 10]).await;
        }
        assert_eq!(status(&mut socket).await, "413", "{path}");
    }
}

async fn chunk(socket: &mut TcpStream, bytes: &[u8]) {
    let head = format!("{:x}\r\n", bytes.len());
    socket.write_all(&[head.as_bytes(), bytes, b"\r\n"].concat()).await.unwrap();
}

#[tokio::test]
async fn large_uploads_fit_exactly_up_to_the_limit() {
    let parts = [("trace_files", "t.json", &*trace()), ("config", "", CONFIG)];
    let size = form(&parts).len();
    let api = with_settings(ApiSettings { max_body_bytes: size, ..ApiSettings::default() });
    api.call("evaluate_form").form(&parts).send().await.expect(200);
    let longer = format!("{} ", trace());
    let parts = [("trace_files", "t.json", &*longer), ("config", "", CONFIG)];
    api.call("evaluate_form").form(&parts).send().await.expect_problem(413, "body_too_large");
}

#[tokio::test]
async fn a_form_of_too_many_parts_is_refused() {
    let parts = vec![("trace_files", "t.json", "{}"); 1001];
    Api::default().call("evaluate_form").form(&parts).send().await.expect_problem(413, "too_many_parts");
}

#[tokio::test]
async fn no_more_uploads_are_evaluated_at_a_time_than_allowed() {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("mine.py"), WAITING).unwrap();
    let code = agentevals::evaluators::CodePolicy::for_requests(Some(folder.path().to_owned()));
    let api = with_settings(ApiSettings { code, max_evaluations: 1, ..ApiSettings::default() });
    let config = json!({"evaluators": [{"name": "mine", "type": "code", "path": "mine.py"}]}).to_string();
    let parts = [("trace_files", "t.json", &*trace()), ("config", "", &*config)];
    let first = api.call("stream_form").form(&parts).follow().await;
    running(folder.path()).await;
    let parts = [("trace_files", "t.json", &*trace()), ("config", "", CONFIG)];
    let second = api.call("evaluate_form").form(&parts).send();
    let mut second = std::pin::pin!(second);
    let waited = tokio::time::timeout(Duration::from_millis(300), &mut second).await;
    assert!(waited.is_err(), "it does not wait for the first");
    std::fs::write(folder.path().join("go"), "").unwrap();
    told(first).await;
    second.await.expect(200);
}

on_both! {
    an_upload_is_stored_as_a_run_that_is_over,
}

async fn an_upload_is_stored_as_a_run_that_is_over(store: TestStore) {
    let api = Api::over(store.store.clone(), &store.hints, ApiSettings::default());
    let body = json!({"traces": traces(), "config": serde_json::from_str::<Value>(TWO_METRICS).unwrap(),
        "evalSet": golden()});
    let data = api.call("evaluate_json").json(&body).send().await.expect(200)["data"].clone();
    let id = data["runId"].as_str().unwrap();
    let run = api.call_on("get_run", id).send().await.expect(200)["data"].clone();
    assert_eq!((&run["status"], &run["verdict"]), (&json!("succeeded"), &data["verdict"]));
    let results = api.call_on("list_results", id).send().await.expect(200)["data"].clone();
    let shown = |member: &str, results: &Value| -> Vec<Value> {
        results.as_array().unwrap().iter().map(|result| result[member].clone()).collect()
    };
    let told: Value = data["traceResults"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|unit| unit["metricResults"].as_array().unwrap().clone())
        .collect();
    assert_eq!(shown("evaluatorName", &results), shown("metricName", &told));
    assert_eq!(shown("score", &results), shown("score", &told));
    assert!(store.claim("idle/0", 1, Duration::from_secs(60)).await.unwrap().is_empty());
}
