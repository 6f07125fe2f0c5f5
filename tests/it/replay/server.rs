//! Our server with everything around it that the recordings take for granted.

use std::collections::BTreeSet;
use std::fs;
use std::sync::Mutex;

use reqwest::{Client, Method};
use serde_json::{Map, Value, json};
use tempfile::TempDir;

use super::compare::{Difference, differences};
use super::recordings::{Recording, Request};
use super::{Answer, judge};
use crate::support::eventually;
use crate::support::http_server::{self, HttpServer, Reply};
use crate::support::processes::{Process, serve};

/// Where the trace server and the receiver of webhooks listened when the recordings were made.
const TRACES: &str = "http://127.0.0.1:18100";
const RECEIVER: &str = "http://127.0.0.1:18101";

/// Code evaluators that do what those of the recordings did, the slow one five times as fast.
const EVALUATORS: [(&str, &str); 3] = [
    (
        "ok.py",
        r#"
import json, sys
request = json.load(sys.stdin)
details = {
    "keys": sorted(request),
    "config": request["config"],
    "expected": bool(request["expected_invocations"]),
    "inv_keys": sorted(request["invocations"][0]),
    "threshold": request["threshold"],
    "metric_name": request["metric_name"],
}
scores = [0.75 for _ in request["invocations"]]
json.dump({"score": 0.75, "per_invocation_scores": scores, "details": details}, sys.stdout)
"#,
    ),
    ("exit3.py", "import sys\nprint('boom', file=sys.stderr)\nsys.exit(3)\n"),
    (
        "slow.py",
        r#"
import json, sys, time
request = json.load(sys.stdin)
time.sleep(request["config"]["seconds"] / 5)
json.dump({"score": 1.0, "per_invocation_scores": [1.0 for _ in request["invocations"]]}, sys.stdout)
"#,
    ),
];

/// The server under test, those that it calls, and what is known of it.
pub(super) struct Server {
    http: Client,
    base: String,
    process: Process,
    traces: HttpServer,
    receiver: HttpServer,
    files: TempDir,
    _evaluators: TempDir,
    /// Runs that are there.
    runs: BTreeSet<String>,
    /// Runs whose deliveries were recorded, with the path at the receiver.
    delivered_to: Vec<(String, String)>,
    /// The headers that the trace server saw.
    fetched_with: Map<String, Value>,
}

impl Server {
    /// Starts everything.
    pub(super) async fn start(recordings: &[Recording]) -> Self {
        let (files, evaluators) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for (name, code) in EVALUATORS {
            fs::write(evaluators.path().join(name), code).unwrap();
        }
        let trace = recordings.iter().find_map(inline_trace).expect("a trace was recorded");
        let traces = HttpServer::start(move |_, request| trace_server(&request.target, &trace)).await;
        let seen = Mutex::new(BTreeSet::new());
        let receiver = HttpServer::start(move |_, request| {
            let id = request.header("webhook-id").unwrap_or_default().to_owned();
            receiver(&request.target, seen.lock().unwrap().insert(id))
        });
        let receiver = receiver.await;
        let launch = serve()
            .slots(4, evaluators.path())
            .env("AGENTEVALS_OUTBOUND_ALLOW", "127.0.0.1")
            .env("AGENTEVALS_CREDENTIAL_ENV", "LAB_TOKEN,NO_SUCH,NOPE")
            .env("LAB_TOKEN", "tok123")
            .env("AGENTEVALS_FILE_SINKS_DIR", files.path().to_str().unwrap())
            .env("AGENTEVALS_FETCH_TIMEOUT_S", "1")
            .env("AGENTEVALS_RETRY_BACKOFF_S", "0.1");
        let mut process = launch.ready().await;
        process.logged("serving http://").await;
        let base = format!("http://{}", process.address().unwrap());
        let delivered_to = recordings.iter().filter_map(delivered_to).collect();
        let fetched = recordings.iter().find_map(|recording| recording.requests.as_ref()?.first());
        let fetched_with =
            fetched.and_then(|request| request["headers"].as_object()).cloned().unwrap_or_default();
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = Client::builder().no_proxy().build().unwrap();
        let (runs, _evaluators) = (BTreeSet::new(), evaluators);
        Self { http, base, process, traces, receiver, files, _evaluators, runs, delivered_to, fetched_with }
    }

    /// Sends what was recorded, and says how the answer differs.
    pub(super) async fn replay(&mut self, recording: &Recording) -> Vec<Difference> {
        if let Some(deliveries) = &recording.deliveries {
            return self.compare_deliveries(deliveries).await;
        }
        if let Some(requests) = &recording.requests {
            return self.compare_fetch(&requests[0]);
        }
        if let Some(lines) = &recording.lines {
            return self.compare_lines(lines).await;
        }
        let request = recording.request.as_ref().unwrap();
        self.prepare(recording).await;
        if recording.run().is_some_and(|run| run.len() == 36 && !self.runs.contains(run)) {
            return Vec::new(); // refused, which is a difference itself; or its submission was not recorded
        }
        let answer = self.send(request, recording).await;
        if recording.is_submission() && answer.status == 202 {
            self.runs.insert(answer.body["data"]["runId"].as_str().unwrap().to_owned());
        }
        judge(recording, &answer)
    }

    /// Ends the server in good order; nothing went wrong in it.
    pub(super) async fn end(self) {
        self.process.assert_calm();
        self.process.terminated().await;
    }

    /// Brings about what the recording saw: the run is there, and as far as it was.
    async fn prepare(&mut self, recording: &Recording) {
        let Some(run) = recording.run().filter(|run| run.len() == 36) else { return };
        let data = &recording.body["data"];
        if !self.runs.contains(run) && data["spec"].is_object() {
            let submission = json!({"runId": run, "spec": self.spec_as_sent(run, &data["spec"])});
            let request = self.http.post(format!("{}/api/runs", self.base));
            let answer = request.header("content-type", "application/json").body(submission.to_string());
            if answer.send().await.unwrap().status() == 202 {
                self.runs.insert(run.to_owned());
            }
        }
        let is_final =
            |status: &Value| ["succeeded", "failed", "cancelled"].iter().any(|known| status == known);
        let is_asked = recording.request.as_ref().is_some_and(|request| request.method == "GET");
        let was_final =
            is_final(&data["status"]) || data.as_array().is_some_and(|results| !results.is_empty());
        if self.runs.contains(run) && is_asked && was_final {
            let path = format!("{}/api/runs/{run}", self.base);
            eventually("the run ends", || async {
                let answer = self.http.get(&path).send().await.unwrap().text().await.unwrap();
                let answer: Value = serde_json::from_str(&answer).unwrap();
                is_final(&answer["data"]["status"]).then_some(())
            })
            .await;
        }
    }

    /// A specification of which only the answer was recorded, with what was hidden there: the receiver's path and the
    /// headers for the trace server.
    fn spec_as_sent(&self, run: &str, answered: &Value) -> Value {
        let mut answered = answered.clone();
        if let Some(headers) = answered.pointer_mut("/context/headers").and_then(Value::as_object_mut) {
            for (name, value) in headers {
                *value = self.fetched_with[&name.to_lowercase()].clone();
            }
        }
        let mut text = self.ours(&without_nulls(&answered).to_string());
        if let Some((_, path)) = self.delivered_to.iter().find(|(known, _)| known == run) {
            text = text.replace("/REDACTED", path);
        }
        serde_json::from_str(&text).unwrap()
    }

    async fn send(&self, request: &Request, recording: &Recording) -> Answer {
        let method: Method = request.method.parse().unwrap();
        let mut sent =
            self.http.request(method, format!("{}{}{}", self.base, request.path, query(&request.query)));
        for (name, value) in &request.headers {
            sent = sent.header(name, value);
        }
        if let Some(json) = &request.json {
            let mut json = json.clone();
            self.choose_id(&mut json, recording);
            sent = sent.header("content-type", "application/json").body(self.ours(&json.to_string()));
        } else if let Some(body) = &request.raw_body {
            sent = sent.body(body.clone());
        } else if !request.form.is_empty() || !request.files.is_empty() {
            let (boundary, body) = multipart(request);
            let media_type = format!("multipart/form-data; boundary={boundary}");
            sent = sent.header("content-type", media_type).body(body);
        }
        let answer = sent.send().await.unwrap();
        let header = |(name, value): (&reqwest::header::HeaderName, &reqwest::header::HeaderValue)| {
            (name.to_string(), value.to_str().unwrap().to_owned())
        };
        let (status, headers) = (answer.status().as_u16(), answer.headers().iter().map(header).collect());
        let text = self.theirs(&answer.text().await.unwrap());
        let body = match text.starts_with('{') || text.is_empty() {
            true => serde_json::from_str(&text).unwrap_or_default(),
            false => events(&text),
        };
        Answer { status, headers, body }
    }

    /// Gives a submission the id that the reference chose, so that results have the same ids too.
    fn choose_id(&self, submission: &mut Value, recording: &Recording) {
        let has_id = submission.get("run_id").or(submission.get("runId")).is_some();
        if let (true, false, Some(id)) =
            (recording.is_submission(), has_id, recording.body["data"].get("runId"))
        {
            submission["runId"] = id.clone();
        }
    }

    /// Recorded text with the places of this test.
    fn ours(&self, text: &str) -> String {
        text.replace(TRACES, &self.traces.url(""))
            .replace(RECEIVER, &self.receiver.url(""))
            .replace("LAB/work/ev/", "")
            .replace("LAB/work/", "")
    }

    /// Our text with the places of the recordings.
    fn theirs(&self, text: &str) -> String {
        text.replace(&self.traces.url(""), TRACES).replace(&self.receiver.url(""), RECEIVER)
    }

    /// Compares what the receiver got of a run: the first of each phase, all results of its parts together.
    async fn compare_deliveries(&self, recorded: &[Value]) -> Vec<Difference> {
        let run = &recorded[0]["body"]["run_id"];
        if !self.runs.contains(run.as_str().unwrap()) {
            return Vec::new();
        }
        let of_run = || -> Vec<Value> {
            let requests = self.receiver.requests();
            let bodies = requests.iter().map(|request| {
                let body: Value = serde_json::from_str(request.text()).unwrap();
                let headers: Map<_, _> =
                    request.headers.iter().cloned().map(|(k, v)| (k, v.into())).collect();
                json!({"method": request.method, "path": request.target, "headers": headers, "body": body})
            });
            bodies.filter(|request| request["body"]["run_id"] == *run).collect()
        };
        // A receiver that never takes the first message gets no other.
        let is_refusing = recorded[0]["path"] == "/s500" || recorded[0]["path"] == "/slow";
        let awaited = |request: &Value| is_refusing || request["body"]["phase"] != "partial";
        let got = eventually("the messages arrive", || async {
            let got = of_run();
            got.iter().any(awaited).then_some(got)
        })
        .await;
        let phases = ["partial", "final", "error"];
        let phases =
            phases.iter().filter(|phase| got.iter().any(|request| request["body"]["phase"] == **phase));
        phases.flat_map(|phase| compare_phase(phase, recorded, &got)).collect()
    }

    /// Compares the request that the trace server got.
    fn compare_fetch(&self, recorded: &Value) -> Vec<Difference> {
        let requests = self.traces.requests();
        let request =
            requests.iter().find(|request| recorded["path"] == *request.target).expect("it was fetched");
        differences(&without_transport(recorded), &seen(request))
    }

    /// Compares the lines of the file sink; the reference repeats earlier results, we do not.
    async fn compare_lines(&self, recorded: &[Value]) -> Vec<Difference> {
        let is_there = |line: &&Value| self.runs.contains(line["run_id"].as_str().unwrap());
        let mut seen = BTreeSet::new();
        let is_new =
            |line: &&Value| line["phase"] != "partial" || seen.insert(line["result"]["resultId"].to_string());
        let recorded: Vec<_> = recorded.iter().filter(is_there).filter(is_new).cloned().collect();
        let path = self.files.path().join("sink.ndjson");
        let lines = eventually("the lines are written", || async {
            let text = fs::read_to_string(&path).ok()?;
            let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
            (lines.len() >= recorded.len()).then_some(lines)
        })
        .await;
        differences(&Value::Array(recorded), &Value::Array(lines))
    }
}

/// Compares the messages of one phase; the reference repeats earlier results in each part, we do not.
fn compare_phase(phase: &str, recorded: &[Value], got: &[Value]) -> Vec<Difference> {
    let of_phase = |requests: &[Value]| -> Vec<Value> {
        requests.iter().filter(|request| request["body"]["phase"] == phase).cloned().collect()
    };
    let (recorded, got) = (of_phase(recorded), of_phase(got));
    let Some(last) = recorded.last() else { return Vec::new() };
    let mut first = got[0].clone();
    if phase == "partial" {
        let mut seen = BTreeSet::new();
        let results = got.iter().filter(|request| seen.insert(request["headers"]["webhook-id"].to_string()));
        let results: Vec<_> =
            results.flat_map(|r| r["body"]["results"].as_array().unwrap().clone()).collect();
        first["body"]["results"] = results.into();
    }
    differences(&without_transport(last), &first)
}

/// A request as the recordings have it.
fn seen(request: &http_server::Request) -> Value {
    let headers: Map<_, _> =
        request.headers.iter().cloned().map(|(name, value)| (name, value.into())).collect();
    let body: Value = serde_json::from_str(request.text()).unwrap_or_default();
    json!({"method": request.method, "path": request.target, "headers": headers, "body": body})
}

/// A recorded request without what each HTTP client does in its own way.
fn without_transport(recorded: &Value) -> Value {
    let mut recorded = recorded.clone();
    if let Some(headers) = recorded["headers"].as_object_mut() {
        const TRANSPORT: [&str; 5] =
            ["host", "accept-encoding", "connection", "content-length", "user-agent"];
        headers.retain(|name, _| !TRANSPORT.contains(&name.as_str()));
    }
    recorded
}

fn inline_trace(recording: &Recording) -> Option<Value> {
    let inline = recording.request.as_ref()?.json.as_ref()?.pointer("/spec/target/inline")?;
    inline.get("resourceSpans").map(|_| inline.clone())
}

fn delivered_to(recording: &Recording) -> Option<(String, String)> {
    let first = recording.deliveries.as_ref()?.first()?;
    Some((first["body"]["run_id"].as_str()?.to_owned(), first["path"].as_str()?.to_owned()))
}

fn trace_server(target: &str, trace: &Value) -> Reply {
    let path = target.split('?').next().unwrap_or_default();
    let (_, kind) = path.split_at(1);
    let (kind, rest) = kind.split_once('/').unwrap_or((kind, ""));
    match kind {
        "ok" if rest.starts_with("api/traces/") => Reply::json(trace),
        "e500" => Reply::status(500),
        "nonjson" => Reply::text(200, "<html></html>"),
        "redirect" => Reply::redirect(302, path.replacen("/redirect/", "/ok/", 1)),
        "list" => Reply::json(&json!([])),
        "empty" => Reply::json(&json!({"resourceSpans": []})),
        "slow" => Reply::hanging(),
        _ => Reply::status(404),
    }
}

/// The receiver of webhooks; some of its paths take a message only when it comes again.
fn receiver(target: &str, is_first_time: bool) -> Reply {
    match target {
        "/s400" => Reply::status(400),
        "/s429" if is_first_time => Reply::status(429),
        "/s500" => Reply::status(500),
        "/flaky" if is_first_time => Reply::status(503),
        "/slow" => Reply::hanging(),
        _ => Reply::status(200),
    }
}

fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let kept = members.iter().filter(|(_, value)| !value.is_null());
            kept.map(|(name, value)| (name.clone(), without_nulls(value))).collect()
        }
        Value::Array(items) => items.iter().map(without_nulls).collect(),
        other => other.clone(),
    }
}

fn query(parameters: &Map<String, Value>) -> String {
    let values = parameters.iter().flat_map(|(name, value)| {
        let values = value.as_array().cloned().unwrap_or_else(|| vec![value.clone()]);
        values.into_iter().map(move |value| {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            format!("{name}={}", text.replace('+', "%2B"))
        })
    });
    let pairs: Vec<_> = values.collect();
    if pairs.is_empty() { String::new() } else { format!("?{}", pairs.join("&")) }
}

/// A form as a client sends it, and its boundary.
fn multipart(request: &Request) -> (&'static str, String) {
    const BOUNDARY: &str = "boundary-of-parts";
    let mut body = String::new();
    for (name, value) in &request.form {
        body.push_str(&format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"
        ));
    }
    for file in &request.files {
        let content = file.content.as_str().map_or_else(|| file.content.to_string(), str::to_owned);
        body.push_str(&format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{}\"; filename=\"{}\"\r\n\
             Content-Type: application/json\r\n\r\n{content}\r\n",
            file.field, file.filename
        ));
    }
    (BOUNDARY, format!("{body}--{BOUNDARY}--\r\n"))
}

/// The events of a stream as the recordings have them, without what only keeps it alive; other text as it is.
fn events(text: &str) -> Value {
    if !text.contains("data:") {
        return text.into();
    }
    let event = |block: &str| {
        let mut event = Map::new();
        for line in block.lines() {
            match line.split_once(':') {
                Some(("data", data)) => {
                    event.insert("data".into(), serde_json::from_str(data.trim()).unwrap());
                }
                Some(("event", name)) => {
                    event.insert("event".into(), name.trim().into());
                }
                _ => {}
            }
        }
        event.contains_key("data").then_some(Value::Object(event))
    };
    json!({"$events": text.split("\n\n").filter_map(event).collect::<Vec<_>>()})
}
