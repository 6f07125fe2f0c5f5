//! The database restarts, in order and as after a crash: while nothing happens, while runs are claimed and finished,
//! while listeners connect.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use agentevals::ids::RunId;
use tokio::task::JoinSet;

use super::truth::{life, lives};
use super::work::{Workshop, group_gone, quick};
use super::{LONG_LEASE, SHORT_LEASE, eventually};
use crate::support::client::Api;
use crate::support::cluster::{Cluster, Stop};
use crate::support::postgres::client;
use crate::support::processes::{Process, serve, worker};

const BOTH: [Stop; 2] = [Stop::Fast, Stop::Immediate];

/// A cluster of its own, an API without slots, and a worker.
struct Scene {
    cluster: Cluster,
    workshop: Workshop,
    serve: Process,
    api: Api,
    worker: Process,
}

impl Scene {
    async fn new(leases: &[&str]) -> Self {
        let (cluster, workshop) = (Cluster::start(), Workshop::new());
        let url = cluster.url("postgres");
        let (serve, api) = serve().over(&url).without_slots(workshop.folder()).answering().await;
        let worker = worker().over(&url).slots(4, workshop.folder()).with(leases).ready().await;
        Self { cluster, workshop, serve, api, worker }
    }

    async fn restart(&self, how: Stop) {
        self.cluster.stop(how).await;
        self.cluster.start_again().await;
    }

    async fn client(&self) -> tokio_postgres::Client {
        client(&self.cluster.url("postgres")).await
    }
}

/// Upstream's run-pipeline fault 4: an error of the database ended loops for ever. Nothing but a hint wakes this
/// worker, so that its run shows that both processes listen again.
#[tokio::test(flavor = "multi_thread")]
async fn idle_processes_listen_again() {
    for how in BOTH {
        let mut scene = Scene::new(&LONG_LEASE).await;
        scene.restart(how).await;
        scene.worker.logged("notifications from the database are received again").await;
        scene.serve.logged("notifications from the database are received again").await;
        for _ in 0..3 {
            let run = scene.api.submit_persistently(&quick(RunId::new_v7())).await;
            let run = run["runId"].as_str().unwrap().parse().unwrap();
            let mut follower = scene.api.follow(run, None).await.unwrap();
            let mut last = None;
            while let Some(told) = follower.next().await {
                last = Some(told.data["status"].clone());
            }
            assert_eq!(last.unwrap(), "succeeded");
            assert_eq!(scene.api.run(run).await.unwrap()["status"], "succeeded");
        }
    }
}

/// The worker has tried to write its result, in vain, before the database is back.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_done_while_the_database_is_down_is_finished_afterwards() {
    let mut scene = Scene::new(&LONG_LEASE).await;
    let held = scene.workshop.held();
    scene.api.submit(&held.submission()).await;
    held.started(1).await;
    scene.cluster.stop(Stop::Fast).await;
    held.let_go(1);
    scene.worker.logged("results cannot be stored; trying again").await;
    scene.cluster.start_again().await;
    scene.api.finished(held.id).await;
    let life = life(&scene.client().await, held.id).await;
    life.assert_ended("succeeded", 2);
    assert_eq!((life.attempt, held.starts()), (1, 1));
}

/// The lease may have ended meanwhile, or the run have been claimed again; whoever ends it does so once.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_done_during_a_crash_is_finished_once() {
    let scene = Scene::new(&SHORT_LEASE).await;
    let held = scene.workshop.held();
    scene.api.submit(&held.submission()).await;
    let evaluator = held.started(1).await;
    scene.cluster.stop(Stop::Immediate).await;
    held.let_all_go();
    group_gone(evaluator).await;
    scene.cluster.start_again().await;
    scene.api.finished(held.id).await;
    life(&scene.client().await, held.id).await.assert_ended("succeeded", 2);
}

/// Restarts under load. A submission that got no answer is repeated with its id, as a client would; each that got one
/// is there, and is the same run when it is submitted once more.
#[tokio::test(flavor = "multi_thread")]
async fn no_run_is_lost_and_none_is_finished_twice_under_load() {
    const CLIENTS: usize = 8;
    let scene = Arc::new(Scene::new(&SHORT_LEASE).await);
    let is_over = Arc::new(AtomicBool::new(false));
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        let (api, is_over) = (scene.api.clone(), is_over.clone());
        clients.spawn(async move {
            let mut taken = Vec::new();
            while !is_over.load(Ordering::Relaxed) {
                let id = RunId::new_v7();
                let run = api.submit_persistently(&quick(id)).await;
                assert_eq!(run["runId"], id.to_string());
                taken.push(id);
            }
            taken
        });
    }
    let finished = async || {
        let sql = "SELECT count(*) FROM agentevals.run WHERE outcome IS NOT NULL";
        scene.client().await.query_one(sql, &[]).await.unwrap().get::<_, i64>(0)
    };
    for how in [Stop::Fast, Stop::Immediate, Stop::Immediate, Stop::Fast] {
        // Under load: some more have been finished since the last restart.
        let before = finished().await;
        eventually("runs are finished", || async { (finished().await > before + 20).then_some(()) }).await;
        scene.restart(how).await;
    }
    is_over.store(true, Ordering::Relaxed);
    let taken = clients.join_all().await.concat();
    let open = "SELECT count(*) FROM agentevals.run_queue";
    let client = scene.client().await;
    eventually("all runs end", || async {
        let row = client.query_one(open, &[]).await.unwrap();
        (row.get::<_, i64>(0) == 0).then_some(())
    })
    .await;
    let all = lives(&client).await;
    assert_eq!(all.len(), taken.len());
    for id in &taken {
        all[id].assert_ended("succeeded", 1);
    }
    for id in taken.iter().step_by(taken.len() / 20 + 1) {
        let again = scene.api.submit(&quick(*id)).await;
        assert_eq!(again, *id);
    }
    assert_eq!(lives(&client).await.len(), taken.len());
}

/// Listeners that are about to connect, or to say on which channels they listen, when the server goes away again.
#[tokio::test(flavor = "multi_thread")]
async fn listeners_outlive_restarts_that_follow_each_other() {
    let mut scene = Scene::new(&LONG_LEASE).await;
    for how in [Stop::Immediate, Stop::Fast, Stop::Immediate] {
        scene.restart(how).await;
    }
    // Submitted before or after they listen again: a hint or the look after connecting finds it.
    let run = scene.api.submit_persistently(&quick(RunId::new_v7())).await;
    scene.api.finished(run["runId"].as_str().unwrap().parse().unwrap()).await;
    scene.worker.logged("notifications from the database are received again").await;
    scene.worker.terminated().await;
    scene.serve.terminated().await;
}
