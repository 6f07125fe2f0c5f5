//! Messages to sinks when processes are killed, stopped or held up by receivers.

use std::collections::HashSet;

use agentevals::ids::RunId;
use serde_json::{Value, json};
use tokio_postgres::Client;

use super::truth::life;
use super::work::{Workshop, quick};
use super::{LONG_LEASE, SHORT_LEASE, eventually};
use crate::execution::{fixture, holds, recorded_submission};
use crate::support::http_server::{HttpServer, Reply, Request};
use crate::support::postgres::TestDb;
use crate::support::processes::{Launch, serve, worker};

/// A run that is done as soon as it is claimed and tells of it there.
fn telling(server: &HttpServer, timeout_s: u32) -> Value {
    let mut submission = quick(RunId::new_v7());
    let sink =
        json!({"kind": "http_webhook", "url": server.url("/hook?token=s3cr3t"), "timeout_s": timeout_s});
    submission["spec"]["sinks"] = json!([sink]);
    submission
}

/// A process that may call this machine.
fn calling(launch: Launch, database: &TestDb) -> Launch {
    launch.over(&database.url()).env("AGENTEVALS_OUTBOUND_ALLOW", "127.0.0.1")
}

fn id(request: &Request) -> String {
    request.header("webhook-id").unwrap().to_owned()
}

/// State and attempts of the messages of a run.
async fn messages(client: &Client, run: RunId) -> Vec<(String, i32)> {
    let sql = "SELECT state, attempts FROM agentevals.delivery WHERE run_id = $1 ORDER BY event, sink";
    client.query(sql, &[&run.0]).await.unwrap().iter().map(|row| (row.get(0), row.get(1))).collect()
}

async fn delivered(client: &Client, run: RunId) {
    eventually("all messages are delivered", || async {
        let messages = messages(client, run).await;
        (!messages.is_empty() && messages.iter().all(|(state, _)| state == "delivered")).then_some(())
    })
    .await;
}

/// Between the commit of the run and the delivery: the receiver has the request and has not answered.
#[tokio::test(flavor = "multi_thread")]
async fn fault_9_what_a_killed_process_had_not_delivered_arrives_once_by_its_id() {
    let (database, workshop) = (TestDb::new().await, Workshop::new());
    let client = database.client().await;
    let server = HttpServer::start(|number, _| match number {
        0 => Reply::hanging(),
        _ => Reply::status(200),
    })
    .await;
    let launch = || calling(serve(), &database).slots(1, workshop.folder()).with(&SHORT_LEASE);
    let (mut killed, api) = launch().answering().await;
    let run = api.submit(&telling(&server, 1)).await;
    server.wait_for(1).await;
    api.finished(run).await;
    killed.kill();
    life(&client, run).await.assert_ended("succeeded", 1);
    let waiting = messages(&client, run).await;
    assert_eq!(waiting.iter().map(|(state, _)| &**state).collect::<Vec<_>>(), ["pending"; 2]);

    let (next, _) = launch().answering().await;
    delivered(&client, run).await;
    let ids: Vec<_> = server.requests().iter().map(id).collect();
    assert_eq!(ids[0], ids[1], "the one that was on the way");
    assert_eq!(ids[1..].iter().collect::<HashSet<_>>().len(), 2);
    assert_eq!(ids.len(), 3, "{ids:?}");
    next.assert_calm();
    assert!(!next.log().contains("s3cr3t") && !killed.log().contains("s3cr3t"));
    next.terminated().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_9_a_receiver_that_hangs_does_not_delay_evaluations() {
    let (database, workshop) = (TestDb::new().await, Workshop::new());
    let client = database.client().await;
    let server = HttpServer::scripted([Reply::hanging()]).await;
    let launch = calling(serve(), &database).slots(2, workshop.folder()).with(&LONG_LEASE);
    let (mut process, api) = launch.answering().await;
    let mut runs = Vec::new();
    for _ in 0..30 {
        runs.push(api.submit(&telling(&server, 60)).await);
    }
    for run in runs {
        api.finished(run).await;
        life(&client, run).await.assert_ended("succeeded", 1);
        assert!(messages(&client, run).await.iter().all(|(state, _)| state == "pending"));
    }
    assert!(server.requests().len() <= 8);
    process.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_that_outlasts_the_stop_is_given_back_to_others() {
    let (database, workshop) = (TestDb::new().await, Workshop::new());
    let client = database.client().await;
    let server = HttpServer::start(|number, _| match number {
        0 => Reply::hanging(),
        _ => Reply::status(200),
    })
    .await;
    let launch = calling(serve(), &database).slots(1, workshop.folder()).with(&LONG_LEASE);
    let (process, api) = launch.with(&["--shutdown-grace-s", "1"]).answering().await;
    let run = api.submit(&telling(&server, 60)).await;
    server.wait_for(1).await;
    api.finished(run).await;
    process.terminated().await;
    let waiting = messages(&client, run).await;
    assert_eq!(waiting, [("pending".to_owned(), 0), ("pending".to_owned(), 0)], "the attempt does not count");
    // Leases and looks are far away: what was given back is due at once.
    let next = calling(worker(), &database).slots(1, workshop.folder()).with(&LONG_LEASE).ready().await;
    delivered(&client, run).await;
    next.terminated().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_go_to_standard_output_and_files_below_the_folder_of_the_process() {
    let (database, workshop, folder) = (TestDb::new().await, Workshop::new(), tempfile::tempdir().unwrap());
    let client = database.client().await;
    let with_folder =
        |launch: Launch| launch.env("AGENTEVALS_FILE_SINKS_DIR", folder.path().to_str().unwrap());
    let (serving, api) =
        with_folder(calling(serve(), &database).without_slots(workshop.folder())).answering().await;
    let working =
        with_folder(calling(worker(), &database).slots(1, workshop.folder()).with(&LONG_LEASE)).ready().await;
    let mut submission = quick(RunId::new_v7());
    submission["spec"]["sinks"] = json!([{"kind": "stdout"}, {"kind": "file", "path": "out.ndjson"}]);
    let run = api.submit(&submission).await;
    delivered(&client, run).await;
    let written = std::fs::read_to_string(folder.path().join("out.ndjson")).unwrap();
    let printed: Vec<_> =
        working.log().lines().filter(|line| line.starts_with('{')).map(str::to_owned).collect();
    assert_eq!(written.lines().collect::<Vec<_>>(), printed);
    let phases: Vec<Value> = printed.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(phases.iter().map(|line| &line["phase"]).collect::<Vec<_>>(), ["partial", "final"]);
    assert!(!serving.log().contains(r#""phase""#));
    working.terminated().await;
    serving.terminated().await;
}

/// One line when a message begins to fail, one when it is given up, whatever happens in between.
#[tokio::test(flavor = "multi_thread")]
async fn failures_are_logged_once_and_without_secrets() {
    let (database, workshop) = (TestDb::new().await, Workshop::new());
    let client = database.client().await;
    let server = HttpServer::scripted([500, 500, 400, 200].map(Reply::status)).await;
    let launch = calling(serve(), &database).slots(1, workshop.folder()).with(&LONG_LEASE);
    let (process, api) = launch.answering().await;
    let run = api.submit(&telling(&server, 10)).await;
    eventually("the last message is delivered", || async {
        let messages = messages(&client, run).await;
        messages.last().filter(|(state, _)| state == "delivered").map(|_| ())
    })
    .await;
    let expected = [("dead".to_owned(), 3), ("delivered".to_owned(), 1)];
    assert_eq!(messages(&client, run).await, expected);
    let log = process.log();
    let lines = |text: &str| log.lines().filter(|line| line.contains(text)).count();
    assert_eq!((lines("could not be delivered"), lines("is given up")), (1, 1), "{log}");
    assert!(log.contains(&server.address().to_string()) && !log.contains("s3cr3t"), "{log}");
    process.terminated().await;
}

/// The bodies of recordings 200 and 204, but that results come once: the reference repeats the earlier ones.
#[tokio::test(flavor = "multi_thread")]
async fn fault_9_a_recorded_run_is_told_of_as_in_the_reference_with_each_result_once() {
    let (database, workshop) = (TestDb::new().await, Workshop::new());
    let client = database.client().await;
    let server = HttpServer::scripted([Reply::status(200)]).await;
    let launch = calling(serve(), &database).slots(1, workshop.folder()).with(&LONG_LEASE);
    let (process, api) = launch.answering().await;
    let recorded = fixture("multi-turn");
    let mut submission = recorded_submission(&recorded);
    submission["spec"]["sinks"] = telling(&server, 10)["spec"]["sinks"].clone();
    let run = api.submit(&submission).await;
    delivered(&client, run).await;
    let bodies: Vec<Value> =
        server.requests().iter().map(|request| serde_json::from_str(request.text()).unwrap()).collect();
    let (end, partials) = bodies.split_last().unwrap();
    let mut results: Vec<Value> = Vec::new();
    for partial in partials {
        assert_eq!((&partial["phase"], &partial["attempt"]), (&json!("partial"), &json!(1)));
        results.extend(partial["results"].as_array().unwrap().clone());
    }
    let results = Value::Array(results);
    assert!(holds(&results, &recorded["results"]), "{results:#}\nwanted {:#}", recorded["results"]);
    assert_eq!((&end["phase"], &end["run_id"]), (&json!("final"), &json!(run.to_string())));
    assert!(holds(&end["summary"], &recorded["summary"]), "{end:#}\nwanted {:#}", recorded["summary"]);
    process.terminated().await;
}
