//! Workers that die or stall.

use std::time::SystemTime;

use rustix::process::Signal;
use serde_json::Value;

use super::truth::life;
use super::work::{Workshop, quick};
use super::{SHORT_LEASE, eventually};
use crate::support::postgres::TestDb;
use crate::support::processes::{serve, worker};
use agentevals::ids::RunId;

/// Results as they are answered, without what is different each time.
fn comparable(mut results: Vec<Value>) -> Vec<Value> {
    for result in &mut results {
        let members = result.as_object_mut().unwrap();
        for name in ["resultId", "runId", "createdAt", "latencyMs", "attempt"] {
            members.remove(name);
        }
    }
    results
}

fn seconds_since_1970() -> f64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs_f64()
}

/// Upstream's run-pipeline fault 10: results of the attempt that died stayed beside those of the next.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_of_a_killed_worker_is_finished_by_another_within_its_lease_and_a_second() {
    let (database, workshop) = (TestDb::new().await, Workshop::new());
    let url = database.url();
    let (_serve, api) = serve().over(&url).without_slots(workshop.folder()).answering().await;
    let worker = || worker().over(&url).slots(2, workshop.folder()).with(&SHORT_LEASE);
    let mut first = worker().ready().await;

    // Two units, the first of which is done and stored before the worker dies.
    let held = workshop.held().with_units(2, 1);
    api.submit(&held.submission()).await;
    held.started(2).await;
    eventually("results of the first unit are stored", || async {
        (api.results(held.id).await.len() == 2).then_some(())
    })
    .await;
    let second = worker().ready().await;
    let killed_at = seconds_since_1970();
    first.kill();
    held.let_all_go();
    let run = api.finished(held.id).await;
    assert_eq!(run["attempt"], 2, "{run:#}");

    let client = database.client().await;
    let life = life(&client, held.id).await;
    life.assert_ended("succeeded", 4);
    assert_eq!(life.workers(), [first.worker_name(), second.worker_name()]);
    let requeued = life.kinds("run.requeued").next().unwrap();
    assert_eq!(requeued.data["code"], "lease_lost");
    let claimed_after = life.kinds("run.started").nth(1).unwrap().at - killed_at;
    assert!(claimed_after < 3.0, "claimed after {claimed_after} s, with leases of 2 s");

    let undisturbed = workshop.held().with_units(2, 2);
    api.submit(&undisturbed.submission()).await;
    api.finished(undisturbed.id).await;
    assert_eq!(comparable(api.results(held.id).await), comparable(api.results(undisturbed.id).await),);
}

/// Upstream's run-pipeline faults 2 and 4: updates were not fenced, so that a worker that had stalled overwrote the
/// status and mixed its results with those of the one that had taken over; and an error in a slot ended it for ever.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_stalled_writes_nothing_after_the_run_was_finished_without_it() {
    stall(true).await;
}

/// As above, while the other worker is still at it.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_stalled_writes_nothing_while_another_has_the_run() {
    stall(false).await;
}

async fn stall(until_after_the_end: bool) {
    let (database, workshop) = (TestDb::new().await, Workshop::new());
    let url = database.url();
    let (_serve, api) = serve().over(&url).without_slots(workshop.folder()).answering().await;
    let worker = || worker().over(&url).slots(2, workshop.folder()).with(&SHORT_LEASE);
    let mut first = worker().ready().await;
    let held = workshop.held().that_tells();
    api.submit(&held.submission()).await;
    held.started(1).await;
    let second = worker().ready().await;

    first.signal(Signal::STOP);
    held.started(2).await;
    held.let_go(1); // there is a result to be written when the first worker wakes
    if until_after_the_end {
        held.let_go(2);
        api.finished(held.id).await;
    }
    first.signal(Signal::CONT);
    first.logged(&format!("run `{}` is not held any more", held.id)).await;
    held.let_go(2);
    assert_eq!(api.finished(held.id).await["attempt"], 2);

    // The one that woke works on.
    second.terminated().await;
    let next = RunId::new_v7();
    api.submit(&quick(next)).await;
    api.finished(next).await;
    let client = database.client().await;
    assert_eq!(life(&client, next).await.workers(), [first.worker_name()]);
    let life = life(&client, held.id).await;
    life.assert_ended("succeeded", 2);
    assert_eq!(life.gate_score(), 0.2, "{life:#?}");
    assert_eq!(held.starts(), 2);
}
