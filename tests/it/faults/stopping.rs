//! Stopping: with grace, beyond it, at once.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::processes::{Launch, Process, serve, worker};
use super::truth::life;
use super::work::{Held, Workshop, group_gone};
use super::{LONG_LEASE, client::Api, eventually};
use crate::support::postgres::TestDb;

/// Less than any grace period or time-out of the program, and much more than it takes to end a process.
const PROMPTLY: Duration = Duration::from_secs(5);

/// An API without slots, and a worker whose run is held.
struct Scene {
    database: TestDb,
    workshop: Workshop,
    _serve: Process,
    api: Api,
    worker: Process,
    held: Held,
}

impl Scene {
    async fn new(grace: &str) -> Self {
        let (database, workshop) = (TestDb::new().await, Workshop::new());
        let serve = serve().over(&database.url()).without_slots(workshop.folder());
        let (_serve, api) = serve.answering().await;
        let worker = worker_of(&database, &workshop).with(&["--shutdown-grace-s", grace]).ready().await;
        let held = workshop.held().with_child();
        api.submit(&held.submission()).await;
        held.started(1).await;
        Self { database, workshop, _serve, api, worker, held }
    }

    /// Checks that the run, which was given back, cost no attempt and was taken by another worker at once.
    async fn assert_given_back(self, other: &Process) {
        group_gone(self.held.started(1).await).await;
        self.held.started(2).await;
        self.held.let_go(2);
        assert_eq!(self.api.finished(self.held.id).await["attempt"], 1);
        let life = life(&self.database.client().await, self.held.id).await;
        life.assert_ended("succeeded", 2);
        assert_eq!(life.workers(), [self.worker.worker_name(), other.worker_name()]);
        let given_back = life.kinds("run.requeued").next().unwrap();
        assert_eq!(given_back.data["code"], "shutdown");
        let idle = life.kinds("run.started").nth(1).unwrap().at - given_back.at;
        assert!(idle < 1.0, "it was left lying for {idle} s");
    }
}

fn worker_of(database: &TestDb, workshop: &Workshop) -> Launch {
    worker().over(&database.url()).slots(2, workshop.folder()).with(&LONG_LEASE)
}

/// Upstream's run-pipeline fault 3: a graceful shutdown cancelled runs for good.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_may_finish_within_the_grace_period() {
    let mut scene = Scene::new("600").await;
    let other = worker_of(&scene.database, &scene.workshop).ready().await;
    scene.worker.signal(Signal::TERM);
    scene.worker.logged("waiting for 1 runs to finish").await;
    // Nothing new is taken meanwhile.
    let next = scene.workshop.held();
    scene.api.submit(&next.submission()).await;
    next.started(1).await;
    next.let_go(1);
    scene.api.finished(next.id).await;
    assert!(scene.worker.is_running());
    scene.held.let_go(1);
    assert_eq!(scene.worker.ended().await.code(), Some(0));

    let client = scene.database.client().await;
    let held = life(&client, scene.held.id).await;
    held.assert_ended("succeeded", 2);
    assert_eq!((held.attempt, held.workers()), (1, vec![&*scene.worker.worker_name()]));
    assert_eq!(life(&client, next.id).await.workers(), [other.worker_name()]);
}

/// Upstream's run-pipeline fault 3: it became cancelled instead of going back to the queue.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_not_done_within_the_grace_period_is_given_back() {
    let mut scene = Scene::new("1").await;
    let other = worker_of(&scene.database, &scene.workshop).ready().await;
    scene.worker.signal(Signal::TERM);
    assert_eq!(scene.worker.ended().await.code(), Some(0));
    scene.assert_given_back(&other).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_gives_runs_back_at_once() {
    let mut scene = Scene::new("600").await;
    let other = worker_of(&scene.database, &scene.workshop).ready().await;
    scene.worker.signal(Signal::TERM);
    scene.worker.logged("waiting for 1 runs to finish").await;
    let asked = Instant::now();
    scene.worker.signal(Signal::INT);
    assert_eq!(scene.worker.ended().await.code(), Some(0));
    assert!(asked.elapsed() < PROMPTLY, "{:?}", asked.elapsed());
    scene.assert_given_back(&other).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_ends_streams_and_requests_that_wait() {
    let (database, workshop) = (TestDb::new().await, Workshop::new());
    let serve = serve().over(&database.url()).without_slots(workshop.folder());
    let (mut serve, api) = serve.answering().await;
    let held = workshop.held();
    api.submit(&held.submission()).await;
    let mut one = api.follow(held.id, None).await.unwrap();
    let mut all = api.follow_all(None).await.unwrap();
    assert!(one.next().await.is_some());
    let waited_for = workshop.held();
    let waiting = tokio::spawn({
        let (api, submission) = (api.clone(), waited_for.submission());
        async move { api.try_submit_and_wait(&submission).await }
    });
    eventually("it is stored", || api.run(waited_for.id)).await;
    let asked = Instant::now();
    serve.signal(Signal::TERM);
    assert!(one.next().await.is_none());
    while all.next().await.is_some() {}
    let (status, answer) = waiting.await.unwrap().expect("an answer");
    assert_eq!((status, &answer["data"]["status"]), (202, &"queued".into()));
    assert_eq!(serve.ended().await.code(), Some(0));
    assert!(asked.elapsed() < PROMPTLY, "{:?}", asked.elapsed());
}

/// Streams of runs that go on end too, while the run may finish.
#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_stops_lets_its_own_runs_finish() {
    let (database, workshop) = (TestDb::new().await, Workshop::new());
    let serve = serve().over(&database.url()).slots(2, workshop.folder()).with(&LONG_LEASE);
    let (mut serve, api) = serve.answering().await;
    let held = workshop.held();
    api.submit(&held.submission()).await;
    held.started(1).await;
    serve.signal(Signal::TERM);
    serve.logged("waiting for 1 runs to finish").await;
    held.let_go(1);
    assert_eq!(serve.ended().await.code(), Some(0));
    life(&database.client().await, held.id).await.assert_ended("succeeded", 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_does_not_wait_for_requests() {
    let (mut serve, _) = serve().answering().await;
    let mut upload = TcpStream::connect(serve.address().unwrap()).await.unwrap();
    let head = b"POST /api/runs HTTP/1.1\r\nHost: localhost\r\ncontent-type: application/json\r\n\
        content-length: 1000\r\nexpect: 100-continue\r\n\r\n";
    upload.write_all(head).await.unwrap();
    // The server reads the body, which never comes.
    assert_ne!(upload.read(&mut [0; 100]).await.unwrap(), 0);
    serve.signal(Signal::TERM);
    serve.logged("a second signal stops at once").await;
    assert!(serve.is_running());
    let asked = Instant::now();
    serve.signal(Signal::TERM);
    assert_eq!(serve.ended().await.code(), Some(0));
    assert!(asked.elapsed() < PROMPTLY, "{:?}", asked.elapsed());
}
