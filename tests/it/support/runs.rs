//! Stores of runs to test with, and runs, results and records in few words.

use std::collections::BTreeMap;
use std::future::Future;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use agentevals::api::Services;
use agentevals::credentials::Credentials;
use agentevals::evaluators::CodePolicy;
use agentevals::ids::{LeaseId, RunId};
use agentevals::net::Outbound;
use agentevals::outbox::OutboxService;
use agentevals::queue::{
    Claimed, Executor, Lease, PreparedRecord, Queue, Record, Resources, WorkerSettings, work,
};
use agentevals::runs::{
    Ending, EvaluatorType, EventKind, Failure, Hint, HintReceiver, Hints, Progress, ResultFilter,
    ResultRecord, ResultStatus, Run, RunEvent, RunService, Summary, Verdict,
};
use agentevals::shutdown::Stop;
use agentevals::sources::FetchLimits;
use agentevals::spec::{Submission, TargetKind};
use agentevals::storage::Storage;
use agentevals::storage::memory::{MemoryLimits, MemoryStore};
use agentevals::storage::postgres::{Database, DatabaseSettings, PostgresStore, forward_hints};
use chrono::Utc;
use sha2::{Digest, Sha256};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::postgres::TestDb;

/// Against hanging; nothing here takes that long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A lease that does not end during a test.
pub(crate) const LEASE: Duration = Duration::from_secs(600);

/// An empty store with its hints.
pub(crate) struct TestStore {
    pub(crate) store: Arc<dyn Storage>,
    pub(crate) hints: Hints,
    pub(crate) database: Option<TestDb>,
    _listening: Option<DropGuard>,
}

impl TestStore {
    /// In memory.
    pub(crate) async fn memory() -> Self {
        let hints = Hints::default();
        let store = Arc::new(MemoryStore::new(MemoryLimits::default(), hints.clone()));
        Self { store, hints, database: None, _listening: None }
    }

    /// In a database of its own.
    pub(crate) async fn postgres() -> Self {
        let database = TestDb::new().await;
        let replica = Self::replica(&database.settings()).await;
        Self { database: Some(database), ..replica }
    }

    /// A further process over a database that somebody else keeps; it is listening already.
    pub(crate) async fn replica(settings: &DatabaseSettings) -> Self {
        let mut settings = settings.clone();
        (settings.pool.min, settings.pool.max) = (1, 8);
        let (hints, token) = (Hints::default(), CancellationToken::new());
        let mut first = hints.subscribe();
        forward_hints(&settings, hints.clone(), token.clone()).unwrap();
        let store = PostgresStore::open(Database::connect(&settings).await.unwrap()).await.unwrap();
        assert_eq!(timeout(PATIENCE, first.next()).await.unwrap(), Hint::All);
        Self { store: Arc::new(store), hints, database: None, _listening: Some(token.drop_guard()) }
    }

    /// The settings of the database.
    pub(crate) fn settings(&self) -> DatabaseSettings {
        self.database.as_ref().unwrap().settings()
    }

    /// Stores a run.
    pub(crate) async fn submit_one(&self, new: Submission) -> RunId {
        self.submit(std::slice::from_ref(&new)).await.unwrap();
        new.id
    }

    /// Stores so many runs.
    pub(crate) async fn submit_many(&self, count: usize) -> Vec<RunId> {
        let runs: Vec<_> = (0..count).map(|_| new_run()).collect();
        self.submit(&runs).await.unwrap();
        runs.iter().map(|run| run.id).collect()
    }

    /// Claims the next run, which there has to be.
    pub(crate) async fn claim_one(&self) -> Claimed {
        self.claim_for(LEASE).await
    }

    /// Claims the next run, which there has to be, for a time.
    pub(crate) async fn claim_for(&self, lease: Duration) -> Claimed {
        self.claim("worker", 1, lease).await.unwrap().pop().expect("a run is due")
    }

    /// Claims the next run for no time at all, and waits until the lease has ended.
    pub(crate) async fn claim_and_lose(&self) -> Claimed {
        let claimed = self.claim_for(Duration::ZERO).await;
        until(async || self.scan().await.unwrap().has_lost).await;
        claimed
    }

    /// Submits a run and claims it.
    pub(crate) async fn claimed(&self) -> Claimed {
        self.submit_one(new_run()).await;
        self.claim_one().await
    }

    /// Writes a record; answers whether it was held.
    pub(crate) async fn write(&self, record: Record) -> bool {
        let held = self.write_all([record]).await;
        assert_eq!(held.len(), 1);
        held[0]
    }

    /// Writes records together, as the writer of a worker does; answers which of them were held.
    pub(crate) async fn write_all(&self, records: impl IntoIterator<Item = Record>) -> Vec<bool> {
        let records: Vec<_> = records.into_iter().collect();
        let prepared = records.iter().map(|record| PreparedRecord::new(record, Utc::now()).unwrap());
        self.record(&prepared.collect::<Vec<_>>()).await.unwrap()
    }

    /// A run that there has to be.
    pub(crate) async fn get(&self, run: RunId) -> Run {
        self.run(run).await.unwrap().expect("the run exists")
    }

    /// All events of a run; they are numbered from 1 without gaps.
    pub(crate) async fn events_of(&self, run: RunId) -> Vec<RunEvent> {
        let events = self.events(&[(run, 0)], 100_000).await.unwrap();
        let numbers: Vec<_> = events.iter().map(|event| event.seq).collect();
        assert_eq!(numbers, (1..=events.len() as u32).collect::<Vec<_>>());
        assert!(events.iter().all(|event| event.run == run));
        events
    }

    /// The kinds of all events of a run.
    pub(crate) async fn kinds(&self, run: RunId) -> Vec<EventKind> {
        self.events_of(run).await.iter().map(|event| event.kind).collect()
    }

    /// Places of the stored results.
    pub(crate) async fn places(&self, run: RunId) -> Vec<u32> {
        let results = self.results(run, &all_results()).await.unwrap();
        results.iter().map(|result| result.record.ordinal).collect()
    }
}

impl Deref for TestStore {
    type Target = dyn Storage;

    fn deref(&self) -> &Self::Target {
        &*self.store
    }
}

/// What the API works with, over a store.
pub(crate) fn services(store: &Arc<dyn Storage>, hints: &Hints) -> Services {
    let runs = run_service(store, hints);
    let outbox = OutboxService::new(store.clone(), runs.clone());
    Services { runs, outbox, finished: store.clone() }
}

/// The runs of a store.
pub(crate) fn run_service(store: &Arc<dyn Storage>, hints: &Hints) -> RunService {
    RunService::new(store.clone(), store.clone(), store.clone(), hints)
}

/// Every result.
pub(crate) fn all_results() -> ResultFilter {
    ResultFilter { limit: 100_000, ..ResultFilter::default() }
}

/// A run with its own id and work.
pub(crate) fn new_run() -> Submission {
    let id = RunId::new_v7();
    with_spec(&format!(r#"{{"work":"{id}"}}"#))
}

/// A run with its own id and this specification.
pub(crate) fn with_spec(spec: &str) -> Submission {
    Submission {
        id: RunId::new_v7(),
        is_id_chosen: false,
        idempotency_key: None,
        spec: spec.to_owned(),
        digest: Sha256::digest(spec).into(),
        priority: 0,
        deadline: Duration::from_secs(300),
        max_attempts: 3,
        labels: BTreeMap::new(),
        target_kind: TargetKind::Inline,
        eval_set_id: None,
        sinks: Vec::new(),
    }
}

/// A run as a worker has it after its first claim.
pub(crate) fn claimed(id: RunId, spec: &str) -> Claimed {
    Claimed {
        lease: Lease { run: id, id: LeaseId::new_random() },
        attempt: 1,
        max_attempts: 3,
        deadline: Duration::from_secs(300),
        spec: spec.to_owned(),
        has_sinks: false,
    }
}

/// A result at a place.
pub(crate) fn result(ordinal: u32) -> ResultRecord {
    ResultRecord {
        ordinal,
        item_id: format!("item {ordinal}"),
        item_name: format!("the item {ordinal}"),
        eval_case_id: Some(format!("case {ordinal}")),
        evaluator_name: "response_match_score".to_owned(),
        evaluator_type: EvaluatorType::Builtin,
        status: ResultStatus::Passed,
        score: Some(0.5),
        per_invocation_scores: vec![Some(0.25), None, Some(1.0)],
        trace_id: Some("0af7651916cd43dd8448eb211c80319c".to_owned()),
        span_id: None,
        details: None,
        error_text: None,
        latency_ms: Some(12),
    }
}

/// Nothing yet about a claimed run.
pub(crate) fn record(claimed: &Claimed) -> Record {
    let Claimed { lease, attempt, has_sinks, .. } = *claimed;
    let (write, results) = (uuid::Uuid::new_v4(), Vec::new());
    Record { lease, write, attempt, progress: None, results, ending: None, has_sinks }
}

/// Results of a run that goes on.
pub(crate) fn part(claimed: &Claimed, places: impl IntoIterator<Item = u32>) -> Record {
    let results: Vec<_> = places.into_iter().map(result).collect();
    let progress = Some(Progress { done: results.len() as u32, total: 10 });
    Record { progress, results, ..record(claimed) }
}

/// The end of a run.
pub(crate) fn end(claimed: &Claimed, ending: Ending) -> Record {
    Record { ending: Some(ending), ..record(claimed) }
}

/// A good end.
pub(crate) fn succeeded() -> Ending {
    Ending::Succeeded { verdict: Verdict::Passed, summary: Box::new(Summary::default()) }
}

/// A bad end.
pub(crate) fn failed() -> Ending {
    Ending::Failed(failure())
}

/// A reason.
pub(crate) fn failure() -> Failure {
    Failure::new("fetch_failed", "the server of the traces answered 503")
}

/// What runs may use: code evaluators as said, this machine, and no credentials.
pub(crate) fn resources(code: CodePolicy) -> Resources {
    Resources {
        code,
        outbound: Outbound::new("127.0.0.1".parse().unwrap()).unwrap(),
        credentials: Credentials::default(),
        fetch: FetchLimits::default(),
    }
}

/// Starts a worker that wakes up by hints alone.
pub(crate) fn start_worker(
    queue: Arc<dyn Queue>,
    hints: &Hints,
    executor: Arc<dyn Executor>,
    change: impl FnOnce(&mut WorkerSettings),
) -> (Stop, JoinHandle<()>) {
    let mut settings = WorkerSettings {
        name: "the worker".to_owned(),
        slots: 4,
        lease: Duration::from_secs(30),
        heartbeat: Duration::from_secs(5),
        poll: Duration::from_secs(3600),
        grace: Duration::from_secs(30),
        first_backoff: Duration::from_millis(20),
    };
    change(&mut settings);
    let (stop, hints) = (Stop::default(), hints.clone());
    let task = tokio::spawn({
        let stop = stop.clone();
        async move { work(queue, &hints, executor, settings, stop).await }
    });
    (stop, task)
}

/// The run once it has ended.
pub(crate) async fn finished(store: &TestStore, run: RunId) -> Run {
    until(async || store.get(run).await.status.is_terminal()).await;
    store.get(run).await
}

/// Waits for what has to come about.
pub(crate) async fn until<F: Future<Output = bool>>(condition: impl Fn() -> F) {
    let come_about = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, come_about).await.expect("it comes about");
}

/// Waits for a hint like this one; others are passed over.
pub(crate) async fn hinted(hints: &mut HintReceiver, is_meant: impl Fn(&Hint) -> bool) -> Hint {
    let meant = async {
        loop {
            let hint = hints.next().await;
            if is_meant(&hint) {
                return hint;
            }
        }
    };
    timeout(PATIENCE, meant).await.expect("the hint comes")
}

/// Makes a test of each function, once for memory and once for PostgreSQL.
macro_rules! on_both {
    ($($name:ident),* $(,)?) => {
        mod in_memory {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    super::$name(crate::support::runs::TestStore::memory().await).await;
                }
            )*
        }

        mod in_postgres {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    super::$name(crate::support::runs::TestStore::postgres().await).await;
                }
            )*
        }
    };
}
pub(crate) use on_both;
