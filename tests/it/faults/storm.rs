//! Everything at once: API and worker processes that are killed and started again at random while runs are submitted,
//! executed and followed.
//!
//! `AGENTEVALS_STORM_RUNS` says how many runs, `AGENTEVALS_STORM_SEED` repeats the choices of an earlier storm.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use agentevals::ids::RunId;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep, timeout};

use super::truth::{Life, lives};
use super::work::{Workshop, quick, slow};
use super::{SHORT_LEASE, eventually};
use crate::support::LONG_PATIENCE;
use crate::support::client::Api;
use crate::support::postgres::TestDb;
use crate::support::processes::{Process, serve, worker};

/// How many runs when nothing is said: with a debug build on two cores some 15 seconds (5,000 take 45).
const RUNS: usize = 1500;

const APIS: usize = 2;
const WORKERS: usize = 3;
const CLIENTS: usize = 16;

/// One run in so many is followed.
const FOLLOWED: usize = 25;

/// How long a stream may be silent before its reader looks elsewhere.
const SILENCE: Duration = Duration::from_secs(3);

/// One run in so many is cancelled as soon as it is taken: the eighth of each.
const CANCELLED: usize = 30;

/// One run in so many is slow, so that it is likely to be hit.
const SLOW: usize = 50;

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().filter(|text| !text.is_empty()).map(|text| text.parse().unwrap())
}

/// Where the APIs are; a place is empty while its process is being replaced.
type Addresses = Arc<Mutex<[Option<Api>; APIS]>>;

/// What the tasks of a storm share.
#[derive(Clone)]
struct Sky {
    addresses: Addresses,
    /// How many events there are in all, once every run has ended.
    events: Arc<OnceLock<usize>>,
    /// Every reconnection goes to the next API.
    turn: Arc<AtomicUsize>,
}

impl Sky {
    /// An API, another one each time.
    async fn api(&self) -> Api {
        eventually("there is an API", || {
            let turn = self.turn.fetch_add(1, Ordering::Relaxed) % APIS;
            std::future::ready(self.addresses.lock().unwrap()[turn].clone())
        })
        .await
    }

    /// Submits a run until one of the APIs has taken it.
    async fn submit(&self, id: RunId, is_slow: bool) {
        let submission = if is_slow { slow(id) } else { quick(id) };
        loop {
            match self.api().await.try_submit(&submission).await {
                Some((202, answer)) => return assert_eq!(answer["data"]["runId"], id.to_string()),
                Some((503, _)) => {}
                Some((status, answer)) => panic!("{status}: {answer:#}"),
                None => sleep(Duration::from_millis(10)).await, // it was killed
            }
        }
    }

    /// Asks for a run to be stopped until one of the APIs has heard it.
    async fn cancel(&self, id: RunId) {
        while self.api().await.try_cancel(id).await.is_none() {
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// Follows a run to its end over as many connections as it takes: the numbers of its events.
    async fn follow(&self, id: RunId) -> Vec<i64> {
        let mut numbers = Vec::new();
        let mut last: Option<String> = None;
        let mut is_over = false;
        while !is_over {
            let api = self.api().await;
            let Some(mut follower) = api.follow(id, last.as_deref()).await else {
                sleep(Duration::from_millis(20)).await;
                continue;
            };
            while let Ok(Some(told)) = timeout(SILENCE, follower.next()).await {
                assert_eq!(told.data["runId"], id.to_string());
                assert_eq!(told.id, told.data["seq"].to_string());
                numbers.push(told.data["seq"].as_i64().unwrap());
                is_over = ["succeeded", "failed", "cancelled"].iter().any(|it| told.data["status"] == *it);
                last = Some(told.id);
            }
        }
        numbers
    }

    /// Follows all runs to the end of the storm: the numbers of the events of each.
    async fn follow_all(&self, started: tokio::sync::oneshot::Sender<()>) -> BTreeMap<RunId, Vec<i64>> {
        let mut told_of: BTreeMap<RunId, Vec<i64>> = BTreeMap::new();
        let mut follower = self.api().await.follow_all(None).await.unwrap();
        started.send(()).unwrap();
        let mut last: Option<String> = None;
        let mut count = 0;
        loop {
            while let Ok(Some(told)) = timeout(SILENCE, follower.next()).await {
                let run = told.data["runId"].as_str().unwrap().parse().unwrap();
                told_of.entry(run).or_default().push(told.data["seq"].as_i64().unwrap());
                last = Some(told.id);
                count += 1;
            }
            // Cut off, or silent.
            if self.events.get().is_some_and(|events| *events <= count) {
                return told_of;
            }
            follower = loop {
                match self.api().await.follow_all(last.as_deref()).await {
                    Some(follower) => break follower,
                    None => sleep(Duration::from_millis(20)).await,
                }
            };
        }
    }
}

/// The processes of a storm.
struct Processes {
    url: String,
    workshop: Workshop,
    apis: Vec<Process>,
    workers: Vec<Process>,
    addresses: Addresses,
    random: fastrand::Rng,
}

impl Processes {
    async fn new(url: String, random: fastrand::Rng, addresses: Addresses) -> Self {
        let workshop = Workshop::new();
        let (apis, workers) = (Vec::new(), Vec::new());
        let mut all = Self { url, workshop, apis, workers, addresses, random };
        for place in 0..APIS {
            let (process, api) = all.start_api().await;
            all.apis.push(process);
            all.addresses.lock().unwrap()[place] = Some(api);
        }
        (0..WORKERS).for_each(|_| all.workers.push(all.start_worker()));
        all
    }

    async fn start_api(&self) -> (Process, Api) {
        let serve = serve().over(&self.url).slots(2, self.workshop.folder()).with(&SHORT_LEASE);
        serve.with(&["--run-attempts-limit", "100"]).answering().await
    }

    fn start_worker(&self) -> Process {
        worker().over(&self.url).slots(8, self.workshop.folder()).with(&SHORT_LEASE).start()
    }

    /// Kills one and starts another in its place; answers with what it was.
    async fn strike(&mut self) -> &'static str {
        sleep(Duration::from_millis(self.random.u64(50..800))).await;
        let place = self.random.usize(..APIS + WORKERS);
        if let Some(place) = place.checked_sub(APIS) {
            self.workers[place].kill();
            self.workers[place].assert_calm();
            self.workers[place] = self.start_worker();
            return "worker";
        }
        self.apis[place].kill();
        self.apis[place].assert_calm();
        self.addresses.lock().unwrap()[place] = None;
        let (process, api) = self.start_api().await;
        self.apis[place] = process;
        self.addresses.lock().unwrap()[place] = Some(api);
        "api"
    }
}

/// Submits all runs, a few at a time; answers when all are taken. Followers of some are started on the way.
async fn submit(sky: &Sky, ids: &[RunId]) -> BTreeMap<RunId, JoinHandle<Vec<i64>>> {
    let next = Arc::new(AtomicUsize::new(0));
    let ids: Arc<[RunId]> = ids.into();
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        let (sky, next, ids) = (sky.clone(), next.clone(), ids.clone());
        clients.spawn(async move {
            let mut followers = Vec::new();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                let Some(id) = ids.get(number).copied() else { return followers };
                sky.submit(id, number.is_multiple_of(SLOW)).await;
                if number % CANCELLED == 7 {
                    sky.cancel(id).await;
                }
                if number.is_multiple_of(FOLLOWED) {
                    let sky = sky.clone();
                    followers.push((id, tokio::spawn(async move { sky.follow(id).await })));
                }
            }
        });
    }
    clients.join_all().await.into_iter().flatten().collect()
}

async fn unfinished(client: &tokio_postgres::Client) -> i64 {
    client.query_one("SELECT count(*) FROM agentevals.run_queue", &[]).await.unwrap().get(0)
}

fn numbers(life: &Life) -> Vec<i64> {
    life.events.iter().map(|event| event.seq.into()).collect()
}

/// Upstream's run-pipeline faults 2, 4 and 10: two workers ended one run, slots died, results of two attempts mixed.
#[tokio::test(flavor = "multi_thread")]
async fn every_run_ends_once_and_is_told_of_once_whatever_is_killed() {
    let runs = setting("AGENTEVALS_STORM_RUNS").map_or(RUNS, |runs| runs as usize);
    let seed = setting("AGENTEVALS_STORM_SEED").unwrap_or_else(|| fastrand::u64(..));
    eprintln!("AGENTEVALS_STORM_SEED={seed} AGENTEVALS_STORM_RUNS={runs}");
    let database = TestDb::new().await;
    let sky = Sky { addresses: Addresses::default(), events: Arc::default(), turn: Arc::default() };
    let random = fastrand::Rng::with_seed(seed);
    let mut processes = Processes::new(database.url(), random, sky.addresses.clone()).await;
    let (started, has_started) = tokio::sync::oneshot::channel();
    let all = tokio::spawn({
        let sky = sky.clone();
        async move { sky.follow_all(started).await }
    });
    has_started.await.unwrap();

    let ids: Vec<_> = (0..runs).map(|_| RunId::new_v7()).collect();
    let began = Instant::now();
    let submitted = AtomicBool::new(false);
    let submitting = async {
        let followers = submit(&sky, &ids).await;
        submitted.store(true, Ordering::Relaxed);
        followers
    };
    let client = database.client().await;
    let striking = async {
        let mut struck: BTreeMap<&str, u32> = BTreeMap::new();
        while !submitted.load(Ordering::Relaxed) {
            *struck.entry(processes.strike().await).or_default() += 1;
        }
        eventually("all runs end", || async { (unfinished(&client).await == 0).then_some(()) }).await;
        struck
    };
    let (followers, struck) = tokio::join!(submitting, striking);
    eprintln!("{runs} runs in {:?}, killed: {struck:?}", began.elapsed());

    let lives = lives(&client).await;
    assert_eq!(lives.len(), runs);
    for (number, id) in ids.iter().enumerate() {
        let life = &lives[id];
        match life.outcome.as_deref() {
            Some("cancelled") if number % CANCELLED == 7 => {
                life.assert_ended("cancelled", life.results.len())
            }
            _ => life.assert_ended("succeeded", if number.is_multiple_of(SLOW) { 4 } else { 1 }),
        };
    }
    let cancelled = lives.values().filter(|life| life.outcome.as_deref() == Some("cancelled")).count();
    let repeated = lives.values().filter(|life| life.attempt > 1).count();
    eprintln!("{repeated} runs took more than one attempt, {cancelled} were cancelled");
    for (id, follower) in followers {
        let told = timeout(LONG_PATIENCE, follower).await.expect("the follower sees the end").unwrap();
        assert_eq!(told, numbers(&lives[&id]), "{id}: {:#?}", lives[&id]);
    }
    processes.apis.iter().chain(&processes.workers).for_each(Process::assert_calm);
    sky.events.set(lives.values().map(|life| life.events.len()).sum()).unwrap();
    let told_of = timeout(LONG_PATIENCE, all).await.expect("the follower sees everything").unwrap();
    assert_eq!(told_of.len(), runs);
    for (id, told) in told_of {
        assert_eq!(told, numbers(&lives[&id]), "{id}: {:#?}", lives[&id]);
    }
}
