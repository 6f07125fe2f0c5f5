//! Server-sent events.

use std::time::Duration;

use agentevals::ids::RunId;
use agentevals::runs::ResultStatus;
use futures_util::{Stream, StreamExt};
use poem::web::sse::Event;
use serde_json::{Value, json};

use super::harness::{Api, failed, passed, result};
use super::schema;

/// An event as it was received.
#[derive(Debug, Clone, PartialEq)]
struct ReceivedRunEvent {
    id: String,
    event: String,
    data: Value,
}

/// The next `count` events of a stream, held against the document.
async fn next(stream: &mut (impl Stream<Item = Event> + Unpin), count: usize) -> Vec<ReceivedRunEvent> {
    let mut told = Vec::new();
    while told.len() < count {
        let next = tokio::time::timeout(Duration::from_secs(10), stream.next()).await;
        match next.expect("an event comes in time").expect("the stream goes on") {
            Event::Message { id, event, data } => told.push(checked(id, event, &data)),
            Event::Retry { retry } => assert_eq!(retry, 2000),
        }
    }
    told
}

fn checked(id: String, event: String, data: &str) -> ReceivedRunEvent {
    let data: Value = serde_json::from_str(data).unwrap();
    let document = serde_json::from_str(&agentevals::api::openapi_document()).unwrap();
    let schema = json!({"$ref": "#/components/schemas/RunEvent"});
    let faults = schema::faults(&data, &schema, &document);
    assert!(faults.is_empty(), "{faults:#?}\n{data:#}");
    assert_eq!(data["event"], *event);
    ReceivedRunEvent { id, event, data }
}

async fn assert_over(stream: &mut (impl Stream<Item = Event> + Unpin)) {
    let end = tokio::time::timeout(Duration::from_secs(10), stream.next()).await;
    assert_eq!(end.expect("the stream ends"), None);
}

/// A run that was evaluated, with one result.
async fn finished(api: &Api) -> RunId {
    let id = api.submitted(json!({})).await;
    finish(api).await;
    id
}

async fn finish(api: &Api) {
    let claimed = api.claimed().await;
    api.record(&claimed, vec![result(1, "rouge", ResultStatus::Passed)], None).await;
    api.record(&claimed, vec![], passed()).await;
}

#[tokio::test]
async fn a_run_is_told_from_the_beginning_to_the_end() {
    let api = Api::default();
    let id = api.submitted(json!({})).await;
    let mut stream = api.call_on("watch_run", id).follow().await;
    assert_eq!(next(&mut stream, 1).await[0].event, "run.queued");
    finish(&api).await;
    let told = next(&mut stream, 4).await;
    let events: Vec<_> = told.iter().map(|told| (&*told.id, &*told.event)).collect();
    let expected =
        [("2", "run.started"), ("3", "result.created"), ("4", "run.progress"), ("5", "run.succeeded")];
    assert_eq!(events, expected);
    assert_eq!(told[0].data["workerId"], "tests/0");
    assert_eq!(told[1].data["result"]["evaluatorName"], "rouge");
    assert_eq!(told[3].data["verdict"], "passed");
    assert_over(&mut stream).await;
}

#[tokio::test]
async fn a_client_that_comes_back_misses_nothing_and_hears_nothing_twice() {
    let api = Api::default();
    let id = api.submitted(json!({})).await;
    let mut stream = api.call_on("watch_run", id).follow().await;
    let mut seen = next(&mut stream, 1).await;
    drop(stream);
    finish(&api).await;
    let last = seen[0].id.clone();
    let mut stream = api.call_on("watch_run", id).header("Last-Event-ID", last).follow().await;
    seen.extend(next(&mut stream, 2).await);
    drop(stream);
    let last = seen[2].id.clone();
    let mut stream = api.call_on("watch_run", id).query("lastEventId", last).follow().await;
    seen.extend(next(&mut stream, 2).await);
    assert_over(&mut stream).await;
    let numbers: Vec<_> = seen.iter().map(|told| told.data["seq"].as_u64().unwrap()).collect();
    assert_eq!(numbers, [1, 2, 3, 4, 5]);
}

#[tokio::test]
async fn one_who_has_seen_the_end_need_not_come_back() {
    let api = Api::default();
    let id = finished(&api).await;
    let answer = api.call_on("watch_run", id).header("Last-Event-ID", 5).send().await;
    assert_eq!((answer.status.as_u16(), &*answer.text), (204, ""));
}

#[tokio::test]
async fn a_retried_run_is_followed_on() {
    let api = Api::default();
    let id = api.submitted(json!({})).await;
    api.record(&api.claimed().await, vec![], failed()).await;
    api.call_on("retry_run", id).send().await.expect(202);
    let mut stream = api.call_on("watch_run", id).header("Last-Event-ID", 3).follow().await;
    assert_eq!(next(&mut stream, 1).await[0].event, "run.queued");
    finish(&api).await;
    assert_eq!(next(&mut stream, 4).await[3].event, "run.succeeded");
    assert_over(&mut stream).await;
}

#[tokio::test]
async fn streams_end_when_the_service_stops() {
    let api = Api::default();
    let id = api.submitted(json!({})).await;
    let mut one = api.call_on("watch_run", id).follow().await;
    let mut all = api.call("watch_runs").follow().await;
    next(&mut one, 1).await;
    api.shutdown.cancel();
    assert_over(&mut one).await;
    assert_over(&mut all).await;
}

#[tokio::test]
async fn all_runs_are_told_from_now_on_or_from_where_one_was() {
    let api = Api::default();
    finished(&api).await;
    let mut stream = api.call("watch_runs").follow().await;
    let id = finished(&api).await;
    let told = next(&mut stream, 5).await;
    assert!(told.iter().all(|told| told.data["runId"] == id.to_string()), "{told:#?}");
    assert_eq!(told[4].event, "run.succeeded");

    let resumed = api.call("watch_runs").header("Last-Event-ID", &told[1].id).follow().await;
    assert_eq!(next(&mut { resumed }, 3).await, told[2..]);
    let resumed = api.call("watch_runs").query("lastEventId", &told[3].id).follow().await;
    assert_eq!(next(&mut { resumed }, 1).await, told[4..]);
}

#[tokio::test]
async fn all_runs_are_filtered_by_status_and_label() {
    let api = Api::default();
    let call = api.call("watch_runs").query("status", "succeeded").query("status", "queued");
    let mut stream = call.query("label", "branch=main").follow().await;
    finished(&api).await;
    let id = api.submitted(json!({"branch": "main"})).await;
    finish(&api).await;
    let told = next(&mut stream, 2).await;
    let told: Vec<_> = told.iter().map(|told| (&told.data["runId"], &*told.event)).collect();
    let id = json!(id.to_string());
    assert_eq!(told, [(&id, "run.queued"), (&id, "run.succeeded")]);
}

#[tokio::test(start_paused = true)]
async fn an_idle_stream_is_kept_open_and_proxies_leave_it_alone() {
    let api = Api::default();
    let id = api.submitted(json!({})).await;
    let response = api.call_on("watch_run", id).raw().await;
    let header = |name| response.header(name).unwrap_or_default().to_owned();
    assert_eq!(header("cache-control"), "no-cache");
    assert_eq!(header("x-accel-buffering"), "no");
    assert_ne!(header("x-request-id"), "");
    let mut chunks = response.into_body().into_bytes_stream();
    let mut text = String::new();
    let started = tokio::time::Instant::now();
    while !text.ends_with("\n:\n\n") {
        text += std::str::from_utf8(&chunks.next().await.unwrap().unwrap()).unwrap();
    }
    assert_eq!(started.elapsed().as_secs(), 15);
    assert!(text.starts_with("retry: 2000\n\nid: 1\nevent: run.queued\ndata: {"), "{text}");
}
