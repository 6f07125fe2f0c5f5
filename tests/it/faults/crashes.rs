//! What watchers are told when the database crashes or does not answer them.

use agentevals::ids::RunId;
use rustix::process::Signal;

use super::truth::{life, lives};
use super::work::{Workshop, quick};
use super::{LONG_LEASE, eventually};
use crate::support::cluster::{Cluster, Stop};
use crate::support::postgres::{TestDb, client};
use crate::support::processes::{serve, worker};

/// A claim is told of and then forgotten, its transaction id given to another transaction. Whoever has seen it resumes
/// behind what that other transaction wrote about a run whose id is smaller.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_told_of_is_not_forgotten_in_a_crash() {
    let (cluster, workshop) = (Cluster::start(), Workshop::new());
    let url = cluster.url("postgres");
    let admin = client(&url).await;
    // Nothing is flushed in passing.
    admin.batch_execute("ALTER SYSTEM SET wal_writer_delay = '10s'").await.unwrap();
    admin.batch_execute("SELECT pg_reload_conf()").await.unwrap();
    let (mut serve, api) = serve().over(&url).without_slots(workshop.folder()).answering().await;
    let mut worker = worker().over(&url).slots(1, workshop.folder()).with(&LONG_LEASE).ready().await;
    let mut follower = api.follow_all(None).await.unwrap();
    let held = workshop.held();
    api.submit(&held.submission()).await;
    let mut seen = follower.next().await.unwrap();
    while seen.data["seq"] != 2 {
        seen = follower.next().await.unwrap();
    }
    worker.signal(Signal::STOP);
    cluster.stop(Stop::Immediate).await;
    cluster.start_again().await;
    serve.logged("notifications from the database are received again").await;

    let small = RunId(uuid::Uuid::from_u128(1));
    api.submit_persistently(&quick(small)).await;
    let mut resumed = eventually("the API answers", || api.follow_all(Some(&seen.id))).await;
    worker.signal(Signal::CONT);
    held.let_all_go();
    let mut told = Vec::new();
    while !told.contains(&(small, "succeeded".to_owned())) {
        let next = resumed.next().await.unwrap();
        let run = next.data["runId"].as_str().unwrap().parse().unwrap();
        told.push((run, next.data["status"].as_str().unwrap().to_owned()));
    }
    api.finished(held.id).await;
    let events = lives(&client(&url).await).await.remove(&small).unwrap().events.len();
    assert_eq!(told.iter().filter(|(run, _)| *run == small).count(), events, "{told:#?}");
    worker.kill();
}

/// An answer without events would say that there are no more, and a client would not come back.
#[tokio::test(flavor = "multi_thread")]
async fn events_that_cannot_be_read_are_not_taken_for_none() {
    let (database, workshop) = (TestDb::new().await, Workshop::new());
    let (mut serve, api) = serve().over(&database.url()).slots(1, workshop.folder()).answering().await;
    let run = api.submit(&quick(RunId::new_v7())).await;
    api.finished(run).await;
    let admin = database.client().await;
    admin.batch_execute("ALTER TABLE agentevals.run_event RENAME TO elsewhere").await.unwrap();
    let following = tokio::spawn(async move { api.follow(run, Some("1")).await });
    serve.logged("could not be read; trying again").await;
    admin.batch_execute("ALTER TABLE agentevals.elsewhere RENAME TO run_event").await.unwrap();
    let mut follower = following.await.unwrap().expect("events");
    let mut numbers = vec![1];
    while let Some(told) = follower.next().await {
        numbers.push(told.data["seq"].as_i64().unwrap());
    }
    let events = life(&admin, run).await.events.len() as i64;
    assert_eq!(numbers, (1..=events).collect::<Vec<_>>());
}
