//! The line between a worker and its database: cut, frozen in both directions, frozen in one.

use std::time::{Duration, Instant};

use agentevals::ids::RunId;
use rustix::process::Signal;
use tokio::net::lookup_host;

use super::truth::life;
use super::work::{Held, Workshop, quick};
use super::{LONG_LEASE, SHORT_LEASE, eventually};
use crate::support::client::Api;
use crate::support::postgres::TestDb;
use crate::support::processes::{Launch, Process, serve, worker};
use crate::support::proxy::Proxy;

/// Less than orchestrators wait before they kill, the grace period for runs included.
const UNANSWERED: Duration = Duration::from_secs(25);

/// A proxy before the server of a database.
pub(super) async fn proxy(database: &TestDb) -> Proxy {
    let url = database.url();
    let authority = url.split_once('@').unwrap().1.split('/').next().unwrap();
    Proxy::start(lookup_host(authority).await.unwrap().next().unwrap()).await
}

/// An API, a worker behind a proxy that holds a run, and another that would take it over.
struct Scene {
    database: TestDb,
    workshop: Workshop,
    proxy: Proxy,
    _serve: Process,
    api: Api,
    far: Process,
    near: Process,
    held: Held,
}

impl Scene {
    async fn new() -> Self {
        let (database, workshop) = (TestDb::new().await, Workshop::new());
        let proxy = proxy(&database).await;
        let url = database.url();
        let (_serve, api) = serve().over(&url).without_slots(workshop.folder()).answering().await;
        let worker = |url: &str| worker().over(url).slots(2, workshop.folder()).with(&SHORT_LEASE);
        let far = worker(&proxy.url_for(&url)).with(&["--shutdown-grace-s", "1"]).ready().await;
        let held = workshop.held().that_tells();
        api.submit(&held.submission()).await;
        held.started(1).await;
        let near = worker(&url).ready().await;
        Self { database, workshop, proxy, _serve, api, far, near, held }
    }

    /// Lets the far worker finish once the near one has taken over, and checks that nothing came of that; then, that
    /// the far worker, whose line is whole again, takes new runs.
    async fn assert_taken_over(mut self, heal: impl AsyncFnOnce(&Proxy)) {
        self.held.started(2).await;
        self.held.let_go(1);
        self.held.let_go(2);
        let run = self.api.finished(self.held.id).await;
        assert_eq!((&run["status"], &run["attempt"]), (&"succeeded".into(), &2.into()), "{run:#}");
        heal(&self.proxy).await;
        self.far.logged(&format!("run `{}` is not held any more", self.held.id)).await;
        self.assert_recovered(0.2).await;
    }

    /// Checks that the run was finished once, with this score, and that the far worker takes new runs.
    async fn assert_recovered(self, score: f64) {
        self.near.terminated().await;
        let next = self.workshop.held();
        next.let_all_go();
        self.api.submit(&next.submission()).await;
        self.api.finished(next.id).await;
        let client = self.database.client().await;
        let next = life(&client, next.id).await;
        next.assert_ended("succeeded", 2);
        assert_eq!(next.workers(), [self.far.worker_name()]);
        let held = life(&client, self.held.id).await;
        held.assert_ended("succeeded", 2);
        assert_eq!(held.gate_score(), score, "{held:#?}");
        self.far.terminated().await;
    }
}

/// Upstream's run-pipeline fault 4: an error of the database ended the heartbeat or the slot for ever, and the run was
/// finished twice.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_is_cut_off_loses_its_run_and_recovers() {
    let scene = Scene::new().await;
    scene.proxy.cut().await;
    scene.assert_taken_over(async |proxy| proxy.heal()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_whose_line_is_frozen_loses_its_run_and_recovers() {
    let scene = Scene::new().await;
    scene.proxy.freeze();
    scene.assert_taken_over(async |proxy| proxy.heal()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_hears_no_answers_loses_its_run_and_recovers() {
    let scene = Scene::new().await;
    scene.proxy.freeze_answers();
    scene.assert_taken_over(async |proxy| proxy.heal()).await;
}

/// What was under way on the frozen line never arrives.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_whose_frozen_line_breaks_loses_its_run_and_recovers() {
    let scene = Scene::new().await;
    scene.proxy.freeze();
    let cut_and_heal = async |proxy: &Proxy| {
        proxy.cut().await;
        proxy.heal();
    };
    scene.assert_taken_over(cut_and_heal).await;
}

/// The end is written, the answer is lost: writing it again must change nothing, nor may another worker have the run.
#[tokio::test(flavor = "multi_thread")]
async fn an_end_whose_confirmation_is_lost_is_written_once() {
    let scene = Scene::new().await;
    scene.proxy.freeze_answers();
    scene.held.let_go(1);
    scene.held.let_go(2); // should the lease have ended first
    let run = scene.api.finished(scene.held.id).await;
    scene.proxy.cut().await;
    scene.proxy.heal();
    let score = if run["attempt"] == 1 { 0.1 } else { 0.2 };
    scene.assert_recovered(score).await;
}

/// Whatever waits for an answer that never comes has to end all the same; the run is given back by its lease.
#[tokio::test(flavor = "multi_thread")]
async fn a_stop_is_not_held_up_by_a_database_that_does_not_answer() {
    for signals in [&["stopping; a second"][..], &["stopping; a second", "stopping at once"]] {
        let mut scene = Scene::new().await;
        scene.proxy.freeze();
        let asked = Instant::now();
        for answer in signals {
            scene.far.signal(Signal::TERM);
            scene.far.logged(answer).await;
        }
        assert_eq!(scene.far.ended().await.code(), Some(0), "{}", scene.far.log());
        assert!(asked.elapsed() < UNANSWERED, "{:?}", asked.elapsed());
        scene.held.started(2).await;
        scene.held.let_all_go();
        scene.api.finished(scene.held.id).await;
        life(&scene.database.client().await, scene.held.id).await.assert_ended("succeeded", 2);
    }
}

/// Who listens through one line and works through another.
fn listening_through(launch: Launch, proxy: &Proxy, database: &TestDb) -> Launch {
    let url = database.url();
    launch.over(&url).env("AGENTEVALS_DATABASE_LISTEN_URL", &proxy.url_for(&url))
}

#[tokio::test(flavor = "multi_thread")]
async fn without_hints_runs_are_found_by_looking_and_with_them_at_once_again() {
    let (database, workshop) = (TestDb::new().await, Workshop::new());
    let proxy = proxy(&database).await;
    let serve = listening_through(serve(), &proxy, &database).without_slots(workshop.folder());
    let (_serve, api) = serve.answering().await;
    let worker = || listening_through(worker(), &proxy, &database).slots(1, workshop.folder());
    let mut looking = worker().with(&SHORT_LEASE).ready().await;
    proxy.cut().await;
    looking.logged("notifications from the database are interrupted").await;
    let run = api.submit(&quick(RunId::new_v7())).await;
    api.finished(run).await;
    looking.terminated().await;

    proxy.heal();
    let mut patient = worker().with(&LONG_LEASE).ready().await;
    proxy.cut().await;
    patient.logged("notifications from the database are interrupted").await;
    proxy.heal();
    // Submitted while nobody listens or just after: the worker looks when it is connected again.
    let run = api.submit(&quick(RunId::new_v7())).await;
    api.finished(run).await;
    patient.logged("notifications from the database are received again").await;
    let run = api.submit(&quick(RunId::new_v7())).await;
    api.finished(run).await;
}

/// Watchers on a process that hears nothing are told late, but of everything.
#[tokio::test(flavor = "multi_thread")]
async fn watchers_without_hints_are_told_of_everything() {
    let (database, workshop) = (TestDb::new().await, Workshop::new());
    let proxy = proxy(&database).await;
    let deaf = listening_through(serve(), &proxy, &database).without_slots(workshop.folder());
    let (mut deaf, api) = deaf.answering().await;
    let _worker = worker().over(&database.url()).slots(1, workshop.folder()).ready().await;
    let held = workshop.held();
    api.submit(&held.submission()).await;
    let mut follower = api.follow(held.id, None).await.unwrap();
    held.started(1).await;
    proxy.cut().await;
    deaf.logged("notifications from the database are interrupted").await;
    held.let_go(1);
    let mut numbers = Vec::new();
    while let Some(told) = follower.next().await {
        numbers.push(told.data["seq"].as_i64().unwrap());
    }
    let ended = eventually("the end is told of", || async {
        let life = life(&database.client().await, held.id).await;
        life.outcome.is_some().then_some(life)
    })
    .await;
    assert_eq!(numbers, (1..=ended.events.len() as i64).collect::<Vec<_>>());
}
