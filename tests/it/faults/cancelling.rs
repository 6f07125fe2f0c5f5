//! Cancelling a run that another process executes.

use std::time::SystemTime;

use super::processes::{serve, worker};
use super::truth::life;
use super::work::{Workshop, group_gone};
use super::{LONG_LEASE, SHORT_LEASE, eventually};
use crate::support::postgres::TestDb;

/// Upstream's run-pipeline fault 1: the run went on, ended as succeeded with an empty error and zero counts, and its
/// evaluators ran to their end.
#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_run_is_stopped_within_a_second_wherever_it_is_executed() {
    let (database, workshop) = (TestDb::new().await, Workshop::new());
    let url = database.url();
    let (_asked, api) = serve().over(&url).without_slots(workshop.folder()).answering().await;
    let executing = serve().over(&url).slots(1, workshop.folder()).with(&LONG_LEASE);
    let (_executing, other) = executing.answering().await;
    let held = workshop.held().with_units(3, 1).with_child();
    api.submit(&held.submission()).await;
    let group = held.started(2).await;
    eventually("results of the first unit are stored", || async {
        (api.results(held.id).await.len() == 2).then_some(())
    })
    .await;

    let asked = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs_f64();
    assert_eq!(api.cancel(held.id).await["cancelRequested"], true);
    let run = api.finished(held.id).await;
    assert_eq!((&run["status"], &run["attempt"]), (&"cancelled".into(), &1.into()), "{run:#}");
    group_gone(group).await;
    let life = life(&database.client().await, held.id).await;
    life.assert_ended("cancelled", 2);
    let took = life.events.last().unwrap().at - asked;
    assert!(took < 1.0, "it took {took} s");
    // Both tell the same, and the slot is free again.
    assert_eq!(other.run(held.id).await.unwrap(), run);
    let next = workshop.held();
    next.let_go(1);
    api.submit(&next.submission()).await;
    api.finished(next.id).await;
}

/// Upstream has no end for it: the flag is set, and nobody is left to look at it.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_whose_worker_died_can_still_be_cancelled() {
    let (database, workshop) = (TestDb::new().await, Workshop::new());
    let url = database.url();
    let (_serve, api) = serve().over(&url).without_slots(workshop.folder()).answering().await;
    let worker = || worker().over(&url).slots(1, workshop.folder()).with(&SHORT_LEASE);
    let mut dead = worker().ready().await;
    let held = workshop.held();
    api.submit(&held.submission()).await;
    held.started(1).await;
    dead.kill();
    assert_eq!(api.cancel(held.id).await["cancelRequested"], true);
    let _other = worker().ready().await;
    assert_eq!(api.finished(held.id).await["status"], "cancelled");
    life(&database.client().await, held.id).await.assert_ended("cancelled", 0);
    assert_eq!(held.starts(), 1);
}
