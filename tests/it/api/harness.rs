//! The real router over the memory store. Every call names an operation of the document, and every answer is held
//! against what the document says about it.

use std::sync::Arc;
use std::time::Duration;

use agentevals::api::{ApiSettings, Services, app, openapi_document};
use agentevals::ids::RunId;
use agentevals::queue::{Claimed, PreparedRecord, Record};
use agentevals::runs::{
    Ending, EvaluatorType, Failure, Hints, Progress, ResultRecord, ResultStatus, Summary, Verdict,
};
use agentevals::storage::Storage;
use agentevals::storage::memory::{MemoryLimits, MemoryStore};
use futures_util::Stream;
use poem::endpoint::BoxEndpoint;
use poem::http::{HeaderMap, Method, StatusCode};
use poem::test::{TestClient, TestRequestBuilder, TestResponse};
use poem::web::sse::Event;
use poem::{EndpointExt, Response};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::schema;
use crate::support::runs::services;
use crate::support::{otlp, question};

/// The service under test.
pub(super) struct Api {
    client: TestClient<BoxEndpoint<'static, Response>>,
    /// What is behind it.
    pub(super) store: Arc<dyn Storage>,
    /// Stops it.
    pub(super) shutdown: CancellationToken,
    document: Value,
}

impl Default for Api {
    fn default() -> Self {
        Self::with_limits(MemoryLimits::default())
    }
}

impl Api {
    /// Over a memory store with these limits.
    pub(super) fn with_limits(limits: MemoryLimits) -> Self {
        let hints = Hints::default();
        let store = Arc::new(MemoryStore::new(limits, hints.clone()));
        Self::over(store, &hints, ApiSettings::default())
    }

    /// Over any store.
    pub(super) fn over(store: Arc<dyn Storage>, hints: &Hints, settings: ApiSettings) -> Self {
        Self { store: store.clone(), ..Self::of(services(&store, hints), settings) }
    }

    /// Over services that need no store behind them.
    pub(super) fn of(services: Services, settings: ApiSettings) -> Self {
        let shutdown = CancellationToken::new();
        let client = TestClient::new(app(services, settings, shutdown.clone()).boxed());
        let store = Arc::new(MemoryStore::new(MemoryLimits::default(), Hints::default()));
        let document = serde_json::from_str(&openapi_document()).unwrap();
        Self { client, store, shutdown, document }
    }

    /// A call of an operation by its id.
    pub(super) fn call(&self, operation: &str) -> Call<'_> {
        let (method, path, described) = self.operation(operation);
        Call { api: self, method, path, query: Vec::new(), headers: Vec::new(), body: None, described }
    }

    /// A call of an operation on a run.
    pub(super) fn call_on(&self, operation: &str, run: impl ToString) -> Call<'_> {
        let call = self.call(operation);
        Call { path: call.path.replace("{runId}", &run.to_string()), ..call }
    }

    fn operation(&self, id: &str) -> (Method, String, Option<&Value>) {
        let paths = self.document["paths"].as_object().unwrap();
        let operations = paths.iter().flat_map(|(path, operations)| {
            operations.as_object().unwrap().iter().map(move |(method, operation)| (path, method, operation))
        });
        let mut found = operations.filter(|(.., operation)| operation["operationId"] == id);
        let (path, method, operation) = found.next().unwrap_or_else(|| panic!("no operation `{id}`"));
        (method.to_uppercase().parse().unwrap(), path.clone(), Some(operation))
    }

    /// A request that is no operation.
    pub(super) fn request(&self, method: Method, path: &str) -> Call<'_> {
        let (query, headers) = (Vec::new(), Vec::new());
        Call { api: self, method, path: path.to_owned(), query, headers, body: None, described: None }
    }

    /// Submits a run and answers with its id.
    pub(super) async fn submitted(&self, labels: Value) -> RunId {
        let mut submission = submission();
        submission["labels"] = labels;
        let answer = self.call("submit_run").json(&submission).send().await;
        answer.expect(202)["data"]["runId"].as_str().unwrap().parse().unwrap()
    }

    /// Claims the run that is first in the queue.
    pub(super) async fn claimed(&self) -> Claimed {
        let claimed = self.store.claim("tests/0", 1, Duration::from_secs(30)).await.unwrap();
        claimed.into_iter().next().expect("a run is due")
    }

    /// Stores something about a claimed run.
    pub(super) async fn record(&self, claimed: &Claimed, results: Vec<ResultRecord>, ending: Option<Ending>) {
        let progress = Some(Progress { done: 1, total: 2 });
        let record = Record {
            lease: claimed.lease,
            write: uuid::Uuid::new_v4(),
            attempt: claimed.attempt,
            progress,
            results,
            ending,
            has_sinks: claimed.has_sinks,
        };
        let record = PreparedRecord::new(&record, chrono::Utc::now()).unwrap();
        assert_eq!(self.store.record(&[record]).await.unwrap(), [true]);
    }
}

/// The least that can be submitted.
pub(super) fn submission() -> Value {
    json!({"spec": {"target": {"kind": "inline", "inline": otlp([question(1, "Hello?", "Hello.")])}}})
}

/// The same, with another trace.
pub(super) fn other_work(mut submission: Value) -> Value {
    submission["spec"]["target"]["inline"] = otlp([question(1, "Hello?", "Good bye.")]);
    submission
}

/// The ending of a run whose agent did well.
pub(super) fn passed() -> Option<Ending> {
    let summary = Summary {
        trace_count: 1,
        per_metric: [("a_metric".to_owned(), Default::default())].into(),
        performance_metrics: Some(json!({"models": ["m"]})),
        ..Summary::default()
    };
    Some(Ending::Succeeded { verdict: Verdict::Passed, summary: Box::new(summary) })
}

/// The ending of a run that could not be evaluated.
pub(super) fn failed() -> Option<Ending> {
    Some(Ending::Failed(Failure::new("bad_input", "the trace has no spans")))
}

/// A result with as little as possible.
pub(super) fn result(ordinal: u32, evaluator: &str, status: ResultStatus) -> ResultRecord {
    ResultRecord {
        ordinal,
        item_id: "unit".to_owned(),
        item_name: "unit".to_owned(),
        eval_case_id: None,
        evaluator_name: evaluator.to_owned(),
        evaluator_type: EvaluatorType::Builtin,
        status,
        score: None,
        per_invocation_scores: vec![None, Some(0.5)],
        trace_id: None,
        span_id: None,
        details: None,
        error_text: None,
        latency_ms: None,
    }
}

const BOUNDARY: &str = "0123456789-boundary";

/// The body of a form, as [`Call::form`] sends it.
pub(super) fn form(parts: &[(&str, &str, &str)]) -> String {
    let part = |(name, file, content): &(&str, &str, &str)| {
        let file = if file.is_empty() { String::new() } else { format!("; filename=\"{file}\"") };
        format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"{file}\r\n\r\n{content}\r\n")
    };
    parts.iter().map(part).chain([format!("--{BOUNDARY}--\r\n")]).collect()
}

/// A request in the making.
pub(super) struct Call<'a> {
    api: &'a Api,
    method: Method,
    path: String,
    query: Vec<(String, String)>,
    headers: Vec<(String, String)>,
    body: Option<poem::Body>,
    described: Option<&'a Value>,
}

impl<'a> Call<'a> {
    /// Adds a parameter to the query.
    pub(super) fn query(mut self, name: &str, value: impl ToString) -> Self {
        self.query.push((name.to_owned(), value.to_string()));
        self
    }

    /// Adds a header.
    pub(super) fn header(mut self, name: &str, value: impl ToString) -> Self {
        self.headers.push((name.to_owned(), value.to_string()));
        self
    }

    /// Sends JSON.
    pub(super) fn json(self, body: &Value) -> Self {
        self.header("content-type", "application/json").body(body.to_string())
    }

    /// Sends a body without saying what it is.
    pub(super) fn body(mut self, body: impl Into<poem::Body>) -> Self {
        self.body = Some(body.into());
        self
    }

    /// Sends a form; each part is its name, its file name, empty if it is no file, and its content.
    pub(super) fn form(self, parts: &[(&str, &str, &str)]) -> Self {
        self.header("content-type", format!("multipart/form-data; boundary={BOUNDARY}")).body(form(parts))
    }

    fn build(self) -> TestRequestBuilder<'a, BoxEndpoint<'static, Response>> {
        let mut request = self.api.client.request(self.method, self.path);
        for (name, value) in &self.query {
            request = request.query(name.clone(), value);
        }
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        match self.body {
            Some(body) => request.body(body),
            None => request,
        }
    }

    /// Sends the request and reads the whole answer.
    pub(super) async fn send(self) -> Answer {
        let (described, document) = (self.described, &self.api.document);
        let TestResponse(response) = self.build().send().await;
        let (parts, body) = response.into_parts();
        let answer =
            Answer { status: parts.status, headers: parts.headers, text: body.into_string().await.unwrap() };
        answer.check_everywhere();
        if let Some(operation) = described {
            answer.check_against(operation, document);
        }
        answer
    }

    /// Sends the request and follows the stream that it is answered with.
    pub(super) async fn follow(self) -> impl Stream<Item = Event> + Unpin {
        let response = self.build().send().await;
        response.assert_status_is_ok();
        response.assert_content_type("text/event-stream");
        response.sse_stream()
    }

    /// Sends the request; the answer is not read.
    pub(super) async fn raw(self) -> Response {
        self.build().send().await.0
    }
}

/// An answer that has been read.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    headers: HeaderMap,
    pub(super) text: String,
}

impl Answer {
    /// A header; empty if it is not there.
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The body as JSON.
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {self:#?}"))
    }

    /// The body, of an answer with this status.
    pub(super) fn expect(&self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{self:#?}");
        self.json()
    }

    /// The problem, which has this status and code.
    pub(super) fn expect_problem(&self, status: u16, code: &str) -> Value {
        let problem = self.expect(status);
        assert_eq!(problem["code"], code, "{self:#?}");
        problem
    }

    /// What holds for every answer: it names the request, and failures are problem documents.
    fn check_everywhere(&self) {
        let id = self.header("x-request-id");
        assert!(!id.is_empty(), "{self:#?}");
        if self.status.is_client_error() || self.status.is_server_error() {
            assert_eq!(self.header("content-type"), "application/problem+json", "{self:#?}");
            let problem = self.json();
            assert_eq!(problem["status"], self.status.as_u16());
            assert_eq!(problem["requestId"], id);
            assert_eq!(problem["title"], self.status.canonical_reason().unwrap());
        }
    }

    /// What the document says: status, headers, media type and schema.
    fn check_against(&self, operation: &Value, document: &Value) {
        let described = &operation["responses"][self.status.as_str()];
        assert!(described.is_object(), "{} is not described: {self:#?}", self.status);
        for (name, header) in described["headers"].as_object().into_iter().flatten() {
            assert!(header["required"] != true || !self.header(name).is_empty(), "no {name}: {self:#?}");
        }
        let Some(content) = described.get("content") else {
            return assert_eq!(self.text, "");
        };
        let (media_type, content) = content.as_object().unwrap().iter().next().unwrap();
        assert_eq!(self.header("content-type"), media_type);
        if media_type.ends_with("json") {
            let faults = schema::faults(&self.json(), &content["schema"], document);
            assert!(faults.is_empty(), "{faults:#?}\n{self:#?}");
        }
    }
}
