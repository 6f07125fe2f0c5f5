//! Cancelling a run that another process executes.

use std::time::{Duration, SystemTime};

use tokio::time::timeout;

use super::network::proxy;
use super::truth::life;
use super::work::{Workshop, group_gone};
use super::{LONG_LEASE, SHORT_LEASE, eventually};
use crate::support::postgres::TestDb;
use crate::support::processes::{serve, worker};

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

/// The worker hears of the cancellation while the answer to its claim is still on the way. Nothing but that hint would
/// stop the run before its next heartbeat.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_stopped_that_is_cancelled_while_it_is_being_claimed() {
    let (database, workshop) = (TestDb::new().await, Workshop::new());
    let (url, proxy) = (database.url(), proxy(&database).await);
    let (_serve, api) = serve().over(&url).without_slots(workshop.folder()).answering().await;
    let worker = worker().over(&proxy.url_for(&url)).env("AGENTEVALS_DATABASE_LISTEN_URL", &url);
    let _worker = worker.slots(1, workshop.folder()).with(&LONG_LEASE).ready().await;
    let held = loop {
        proxy.freeze_answers();
        let held = workshop.held();
        api.submit(&held.submission()).await;
        let claimed = eventually("the run is claimed", || async {
            (api.run(held.id).await?["status"] == "running").then_some(())
        });
        if timeout(Duration::from_secs(2), claimed).await.is_ok() {
            break held;
        }
        // The worker waits for the answer to an earlier claim.
        proxy.heal();
        held.let_go(1);
        api.finished(held.id).await;
    };
    api.cancel(held.id).await;
    proxy.heal();
    assert_eq!(api.finished(held.id).await["status"], "cancelled");
    life(&database.client().await, held.id).await.assert_ended("cancelled", 0);
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
