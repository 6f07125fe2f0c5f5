//! Starting: several at once, without a database, with settings that cannot be.

use std::process::Output;
use std::time::{Duration, Instant};

use agentevals::storage::postgres::MIGRATIONS;
use rustix::process::Signal;

use super::work::{Workshop, quick};
use crate::support::agentevals;
use crate::support::cluster::{Cluster, Stop};
use crate::support::postgres::TestDb;
use crate::support::processes::{Launch, serve, worker};
use agentevals::ids::RunId;

/// Less than any patience of the program with its database, and much more than it takes to start.
const AT_ONCE: Duration = Duration::from_secs(15);

#[tokio::test(flavor = "multi_thread")]
async fn several_that_start_at_once_on_an_empty_database_all_come_up() {
    let (database, workshop) = (TestDb::empty().await, Workshop::new());
    let start = || serve().over(&database.url()).slots(1, workshop.folder()).start();
    let mut processes: Vec<_> = (0..4).map(|_| start()).collect();
    for process in &mut processes {
        process.logged("serving http://").await;
        let api = crate::support::client::Api::at(process.address().unwrap());
        let run = api.submit(&quick(RunId::new_v7())).await;
        assert_eq!(api.finished(run).await["status"], "succeeded");
    }
    let applied: usize = processes.iter().map(|it| it.log().matches("applied migration").count()).sum();
    assert_eq!(applied, MIGRATIONS.len());
    for process in processes {
        process.terminated().await;
    }
}

/// The lines that a process ends with after it has failed to start, and how long it took.
async fn refusal(launch: Launch, what: &str) -> String {
    let started = Instant::now();
    let mut process = launch.start();
    let status = process.ended().await;
    assert!(started.elapsed() < AT_ONCE, "{:?}\n{}", started.elapsed(), process.log());
    let log = process.log();
    assert_eq!(status.code(), Some(2), "{log}");
    let errors: Vec<_> = log.lines().filter(|line| line.starts_with("error: ")).collect();
    assert!(matches!(errors[..], [error] if error.contains(what)), "{what}\n{log}");
    assert_eq!(log.lines().last(), errors.first().copied(), "{log}");
    log
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_that_is_behind_is_refused_when_it_is_not_to_be_migrated() {
    let database = TestDb::empty().await;
    for launch in [serve(), worker()] {
        let launch = launch.over(&database.url()).env("AGENTEVALS_AUTO_MIGRATE", "false");
        refusal(launch, "run `agentevals migrate up`").await;
    }
    agentevals().args(["migrate", "up"]).env("AGENTEVALS_DATABASE_URL", database.url()).assert().success();
    let launch = serve().over(&database.url()).env("AGENTEVALS_AUTO_MIGRATE", "false");
    launch.ready().await.terminated().await;
}

/// Upstream's run-pipeline fault 17: authentication and missing databases were retried for ten minutes as well.
#[tokio::test(flavor = "multi_thread")]
async fn what_waiting_does_not_mend_ends_a_start_at_once() {
    let cluster = Cluster::start();
    let url = cluster.url("postgres");
    let admin = crate::support::postgres::client(&url).await;
    admin.batch_execute("CREATE ROLE locked LOGIN PASSWORD 'right'").await.unwrap();
    let locked = url.replace("tester@", "locked:hunter2@");
    let log = refusal(serve().over(&locked), "the database refuses access").await;
    assert!(log.contains("password authentication failed") && !log.contains("hunter2"), "{log}");
    refusal(worker().over(&locked), "password authentication failed").await;
    refusal(serve().over(&cluster.url("nowhere")), "database \"nowhere\" does not exist").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_down_is_waited_for_until_it_is_up_or_a_signal_comes() {
    let cluster = Cluster::start();
    cluster.stop(Stop::Fast).await;
    for signal in [Signal::TERM, Signal::INT] {
        for launch in [serve(), worker()] {
            let mut process = launch.over(&cluster.url("postgres")).start();
            process.logged("waiting up to 600s for the database").await;
            let asked = Instant::now();
            process.signal(signal);
            assert_eq!(process.ended().await.code(), Some(0), "{}", process.log());
            assert!(asked.elapsed() < AT_ONCE, "{:?}", asked.elapsed());
        }
    }
    let mut process = serve().over(&cluster.url("postgres")).start();
    process.logged("waiting up to 600s for the database").await;
    cluster.start_again().await;
    process.logged("serving http://").await;
    process.terminated().await;
}

fn output(arguments: &[&str]) -> Output {
    agentevals().args(arguments).output().unwrap()
}

#[test]
fn settings_that_cannot_be_are_refused_in_one_line() {
    for (arguments, what) in [
        (&["serve", "--lease-s", "4", "--heartbeat-s", "3"][..], "too short for a heartbeat of 3 s"),
        (&["serve", "--host", "0.0.0.0"], "--insecure-no-auth"),
        (&["serve", "--storage", "postgres"], "AGENTEVALS_DATABASE_URL"),
        (&["serve", "--storage", "postgres", "--database-url", "mysql://db/x"], "postgres"),
        (&["serve", "--code-evaluators-dir", "/nowhere"], "/nowhere"),
        (&["worker"], "--storage postgres"),
        (&["worker", "--storage", "postgres", "--database-url", "host=db", "--workers", "0"], "nothing"),
    ] {
        let output = output(arguments);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
        assert!(said.starts_with("error: ") && said.contains(what), "{arguments:?}: {said}");
        assert_eq!(said.lines().count(), 1, "{arguments:?}: {said}");
    }
    for (name, value) in [
        ("AGENTEVALS_LEASE_S", "soon"),
        ("AGENTEVALS_PORT", "99999"),
        ("AGENTEVALS_AUTO_MIGRATE", "maybe"),
        ("AGENTEVALS_STORAGE_BACKEND", "sqlite"),
        ("AGENTEVALS_LOG_LEVEL", "loud"),
        ("AGENTEVALS_DATABASE_SCHEMA", "pg_x"),
    ] {
        let output = agentevals().arg("serve").env(name, value).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{name}: {said}");
        assert!(said.lines().next().unwrap().contains(value), "{name}: {said}");
    }
}

#[test]
fn a_port_that_is_taken_is_named() {
    let taken = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let output = output(&["serve", "--port", &port]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    let error = said.lines().last().unwrap();
    assert!(error.starts_with("error: ") && error.contains(&port), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_says_that_nothing_survives() {
    let (process, api) = serve().answering().await;
    assert!(process.log().contains("are lost when this process ends"), "{}", process.log());
    let run = api.submit(&quick(RunId::new_v7())).await;
    assert_eq!(api.finished(run).await["status"], "succeeded");
    process.terminated().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_health_of_a_service_is_an_exit_code() {
    let (process, _) = serve().answering().await;
    let port = process.address().unwrap().port().to_string();
    for arguments in [["--host", "127.0.0.1"], ["--host", "0.0.0.0"], ["--ready", "--timeout-s=10"]] {
        let output = output(&[["healthcheck", "--port", &port].as_slice(), &arguments].concat());
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {output:?}");
    }
    process.terminated().await;
    let gone = output(&["healthcheck", "--port", &port]);
    let said = String::from_utf8(gone.stderr).unwrap();
    assert_eq!(gone.status.code(), Some(2), "{said}");
    assert!(said.contains(&port) && said.contains("refused"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_that_trusts_no_authority_serves_all_the_same() {
    let nothing = tempfile::tempdir().unwrap();
    let (file, folder) = (nothing.path().join("none.pem"), nothing.path().to_str().unwrap());
    let launch = serve().env("SSL_CERT_FILE", file.to_str().unwrap()).env("SSL_CERT_DIR", folder);
    let (process, api) = launch.answering().await;
    assert!(process.log().contains("trusts no certificate authority"), "{}", process.log());
    let run = api.submit(&quick(RunId::new_v7())).await;
    assert_eq!(api.finished(run).await["status"], "succeeded");
    process.terminated().await;
}
