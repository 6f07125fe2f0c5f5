//! The worker, with an executor in the hands of the test. `fault_N` is explained in `store/mod.rs`.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use agentevals::ids::RunId;
use agentevals::queue::{Claimed, ExecutedRun, ExecutionError, Executor, Queue, UnitResults, WorkerSettings};
use agentevals::runs::{EventKind, Hints, Progress, ResultRecord, RunStatus, StoreError, Summary, Verdict};
use agentevals::shutdown::Stop;
use agentevals::spec::Submission;
use async_trait::async_trait;
use serde_json::value::RawValue;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::support::faulty::{Faulty, Moment, away};
use crate::support::runs::{
    LEASE, PATIENCE, TestStore, end, failure, finished, new_run, on_both, result, start_worker, succeeded,
    until,
};

/// What an executor was asked to do, and the way to its answer.
struct Job {
    claimed: Claimed,
    units: mpsc::UnboundedSender<UnitResults>,
    cancel: CancellationToken,
    answer: oneshot::Sender<Answer>,
}

enum Answer {
    Returns(Box<Result<ExecutedRun, ExecutionError>>),
    Panics,
}

impl Job {
    fn run(&self) -> RunId {
        self.claimed.lease.run
    }

    fn unit_done(&self, places: std::ops::Range<u32>) {
        let results: Vec<_> = places.map(result).collect();
        let progress = Progress { done: results.len() as u32, total: 10 };
        self.units.send(UnitResults { results, progress }).ok();
    }

    fn succeeds_with(self, results: Vec<ResultRecord>) {
        self.answer.send(Answer::Returns(Box::new(Ok(evaluated(results))))).ok();
    }

    fn succeeds(self) {
        self.succeeds_with(Vec::new());
    }

    fn fails(self, is_transient: bool) {
        let error = match is_transient {
            true => ExecutionError::Transient { failure: failure(), retry_after: None },
            false => ExecutionError::Permanent(failure()),
        };
        self.answer.send(Answer::Returns(Box::new(Err(error)))).ok();
    }

    fn panics(self) {
        self.answer.send(Answer::Panics).ok();
    }
}

fn evaluated(results: Vec<ResultRecord>) -> ExecutedRun {
    ExecutedRun { verdict: Verdict::Passed, summary: Summary::default(), results, total: 10 }
}

/// Hands what it is asked to do to the test.
struct Remote(mpsc::UnboundedSender<Job>);

#[async_trait]
impl Executor for Remote {
    async fn execute(
        &self,
        claimed: &Claimed,
        observer: &(dyn Fn(UnitResults) + Send + Sync),
        cancel: &CancellationToken,
    ) -> Result<ExecutedRun, ExecutionError> {
        let (answer, mut answered) = oneshot::channel();
        let (units, mut done) = mpsc::unbounded_channel();
        self.0.send(Job { claimed: claimed.clone(), units, cancel: cancel.clone(), answer }).ok();
        loop {
            // Units that were done before the end come before it.
            tokio::select! {
                biased;
                Some(unit) = done.recv() => observer(unit),
                answer = &mut answered => match answer {
                    Ok(Answer::Returns(returned)) => return *returned,
                    Ok(Answer::Panics) => panic!("as it was told to"),
                    Err(_) => {
                        cancel.cancelled().await;
                        return Err(ExecutionError::Cancelled);
                    }
                },
                () = cancel.cancelled() => return Err(ExecutionError::Cancelled),
            }
        }
    }
}

/// A worker under way.
struct Worker {
    stop: Stop,
    task: JoinHandle<()>,
    jobs: mpsc::UnboundedReceiver<Job>,
}

impl Worker {
    /// One that wakes up by hints alone.
    fn start(store: &TestStore, change: impl FnOnce(&mut WorkerSettings)) -> Self {
        Self::over(store.store.clone(), &store.hints, change)
    }

    fn over(queue: Arc<dyn Queue>, hints: &Hints, change: impl FnOnce(&mut WorkerSettings)) -> Self {
        let (sender, jobs) = mpsc::unbounded_channel();
        let (stop, task) = start_worker(queue, hints, Arc::new(Remote(sender)), change);
        Self { stop, task, jobs }
    }

    async fn job(&mut self) -> Job {
        timeout(PATIENCE, self.jobs.recv()).await.expect("a run is started").unwrap()
    }

    /// The jobs of these runs, in that order; which one starts first is not said.
    async fn jobs<const N: usize>(&mut self, runs: [RunId; N]) -> [Job; N] {
        let mut jobs = HashMap::new();
        for _ in &runs {
            let job = self.job().await;
            jobs.insert(job.run(), job);
        }
        runs.map(|run| jobs.remove(&run).expect("it is started"))
    }

    async fn ended(self) {
        timeout(PATIENCE, self.task).await.expect("the worker ends").unwrap();
    }
}

async fn count(store: &TestStore, run: RunId, kind: EventKind) -> usize {
    store.kinds(run).await.into_iter().filter(|it| *it == kind).count()
}

on_both! {
    a_hint_wakes_an_idle_worker_at_once,
    a_run_is_executed_with_what_was_submitted_and_its_results_are_stored,
    three_workers_execute_each_run_once,
    a_panic_fails_its_run_and_the_worker_goes_on,
    fault_7_a_transient_failure_is_tried_again_until_out_of_attempts,
    a_permanent_failure_is_final_at_once,
    fault_7_each_run_has_its_own_deadline_and_keeps_results_so_far,
    fault_1_cancelling_stops_the_executor_and_keeps_results_so_far,
    a_run_that_fails_for_now_after_it_was_cancelled_is_cancelled,
    fault_3_a_worker_that_stops_lets_its_runs_finish,
    fault_3_after_the_grace_runs_are_given_back_and_the_attempt_is_not_spent,
    a_worker_that_stops_now_does_not_wait,
    fault_2_a_worker_that_lost_its_lease_writes_nothing,
    a_worker_that_claims_what_it_had_lost_stops_the_earlier_execution,
    fault_4_an_outage_at_the_end_of_a_run_loses_nothing,
    an_end_whose_answer_is_lost_is_written_once,
    fault_4_an_outage_of_claims_and_heartbeats_ends_nothing,
    fault_16_a_record_that_cannot_be_stored_fails_its_run_and_no_other,
    heartbeats_keep_a_long_run,
    a_run_of_a_dead_worker_is_taken_over_when_its_lease_ends,
    the_most_urgent_run_comes_first_when_a_slot_is_free,
    no_more_runs_are_claimed_than_there_are_slots,
    a_claim_that_is_answered_during_the_stop_is_not_lost,
    results_are_stored_while_the_run_goes_on,
}

async fn a_hint_wakes_an_idle_worker_at_once(store: TestStore) {
    let mut worker = Worker::start(&store, |_| {});
    for _ in 0..3 {
        let started = Instant::now();
        let run = store.submit_one(new_run()).await;
        let job = worker.job().await;
        assert!(job.run() == run && started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
        job.succeeds();
        finished(&store, run).await;
    }
    // A retry, a requeued run whose wait is over, and one that was given back wake it too.
    let run = store.submit_one(new_run()).await;
    worker.job().await.fails(false);
    assert_eq!(finished(&store, run).await.status, RunStatus::Failed);
    store.retry(run).await.unwrap();
    let job = worker.job().await;
    assert_eq!((job.run(), job.claimed.attempt), (run, 2));
    job.succeeds();
    assert_eq!(finished(&store, run).await.status, RunStatus::Succeeded);
}

async fn a_run_is_executed_with_what_was_submitted_and_its_results_are_stored(store: TestStore) {
    let mut worker = Worker::start(&store, |_| {});
    let new = Submission { max_attempts: 7, deadline: Duration::from_secs(77), ..new_run() };
    store.submit_one(new.clone()).await;
    let job = worker.job().await;
    assert_eq!((&job.claimed.spec, job.claimed.deadline), (&new.spec, new.deadline));
    assert_eq!((job.claimed.attempt, job.claimed.max_attempts), (1, 7));
    let running = store.get(new.id).await;
    assert_eq!((running.status, running.worker.as_deref()), (RunStatus::Running, Some("the worker")));
    job.unit_done(0..2);
    job.succeeds_with((0..4).map(result).collect());
    let run = finished(&store, new.id).await;
    assert_eq!(
        (run.status, run.verdict, run.summary),
        (RunStatus::Succeeded, Some(Verdict::Passed), Some(Summary::default()))
    );
    assert_eq!(store.places(new.id).await, [0, 1, 2, 3]);
    assert_eq!(count(&store, new.id, EventKind::ResultCreated).await, 4);
}

/// Succeeds at once, and counts.
#[derive(Default)]
struct Counting {
    executed: Mutex<HashMap<RunId, usize>>,
    at_once: AtomicUsize,
    most: AtomicUsize,
}

#[async_trait]
impl Executor for Counting {
    async fn execute(
        &self,
        claimed: &Claimed,
        _: &(dyn Fn(UnitResults) + Send + Sync),
        _: &CancellationToken,
    ) -> Result<ExecutedRun, ExecutionError> {
        self.most.fetch_max(self.at_once.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        *self.executed.lock().unwrap().entry(claimed.lease.run).or_default() += 1;
        tokio::task::yield_now().await;
        self.at_once.fetch_sub(1, Ordering::SeqCst);
        Ok(evaluated(vec![result(0)]))
    }
}

async fn three_workers_execute_each_run_once(store: TestStore) {
    let executor = Arc::new(Counting::default());
    let mut replicas = Vec::new();
    if store.database.is_some() {
        for _ in 0..2 {
            replicas.push(TestStore::replica(&store.settings()).await);
        }
    }
    let stores = [&store, replicas.first().unwrap_or(&store), replicas.get(1).unwrap_or(&store)];
    let mut runs = store.submit_many(100).await;
    let workers =
        stores.map(|store| start_worker(store.store.clone(), &store.hints, executor.clone(), |_| {}));
    for _ in 0..20 {
        runs.extend(store.submit_many(5).await);
    }
    for run in &runs {
        let run = finished(&store, *run).await;
        assert_eq!((run.status, run.attempt), (RunStatus::Succeeded, 1));
    }
    for (stop, task) in workers {
        stop.soon.cancel();
        timeout(PATIENCE, task).await.unwrap().unwrap();
    }
    let executed = executor.executed.lock().unwrap();
    assert!(executed.len() == 200 && executed.values().all(|times| *times == 1));
}

async fn a_panic_fails_its_run_and_the_worker_goes_on(store: TestStore) {
    let mut worker = Worker::start(&store, |settings| settings.slots = 1);
    for _ in 0..3 {
        let run = store.submit_one(new_run()).await;
        let job = worker.job().await;
        job.unit_done(0..1);
        job.panics();
        let run = finished(&store, run).await;
        assert_eq!((run.status, run.attempt), (RunStatus::Failed, 1));
        let failure = run.failure.unwrap();
        assert_eq!(failure.code, "internal_error");
        assert!(!failure.message.contains("as it was told to"), "{}", failure.message);
        assert_eq!(store.places(run.id).await, [0]);
    }
    let run = store.submit_one(new_run()).await;
    worker.job().await.succeeds();
    assert_eq!(finished(&store, run).await.status, RunStatus::Succeeded);
}

/// Upstream has no retry after a failure.
async fn fault_7_a_transient_failure_is_tried_again_until_out_of_attempts(store: TestStore) {
    let mut worker = Worker::start(&store, |settings| settings.first_backoff = Duration::from_millis(400));
    let run = store.submit_one(Submission { max_attempts: 3, ..new_run() }).await;
    for attempt in 1..=3 {
        let job = worker.job().await;
        assert_eq!((job.run(), job.claimed.attempt), (run, attempt));
        let failed = Instant::now();
        job.fails(true);
        if attempt < 3 {
            until(async || store.get(run).await.status == RunStatus::Queued).await;
            // Between half and the whole of 400 ms, then of 800 ms.
            let shortest = Duration::from_millis(if attempt == 1 { 200 } else { 400 });
            until(async || store.get(run).await.status == RunStatus::Running).await;
            assert!(failed.elapsed() >= shortest, "{:?}", failed.elapsed());
        }
    }
    let run = finished(&store, run).await;
    assert_eq!((run.status, run.attempt, run.failure), (RunStatus::Failed, 3, Some(failure())));
    use EventKind::{Failed, Queued, Requeued, Started};
    assert_eq!(store.kinds(run.id).await, [Queued, Started, Requeued, Started, Requeued, Started, Failed]);
}

async fn a_permanent_failure_is_final_at_once(store: TestStore) {
    let mut worker = Worker::start(&store, |_| {});
    let run = store.submit_one(new_run()).await;
    worker.job().await.fails(false);
    let run = finished(&store, run).await;
    assert_eq!((run.status, run.attempt, run.failure), (RunStatus::Failed, 1, Some(failure())));
}

/// Upstream has one deadline for all runs.
async fn fault_7_each_run_has_its_own_deadline_and_keeps_results_so_far(store: TestStore) {
    let mut worker = Worker::start(&store, |_| {});
    let patient = store.submit_one(new_run()).await;
    let patient_job = worker.job().await;
    let hasty = store.submit_one(Submission { deadline: Duration::from_secs(1), ..new_run() }).await;
    let (job, started) = (worker.job().await, Instant::now());
    job.unit_done(0..2);
    timeout(PATIENCE, job.cancel.cancelled()).await.unwrap();
    assert!(started.elapsed() >= Duration::from_millis(900), "{:?}", started.elapsed());
    let run = finished(&store, hasty).await;
    assert_eq!(
        (run.status, run.attempt, &*run.failure.unwrap().code),
        (RunStatus::Failed, 1, "deadline_exceeded")
    );
    assert_eq!(store.places(hasty).await, [0, 1]);
    assert!(!patient_job.cancel.is_cancelled());
    patient_job.succeeds();
    assert_eq!(finished(&store, patient).await.status, RunStatus::Succeeded);
}

/// Upstream only sets a flag, and the run ends as succeeded.
async fn fault_1_cancelling_stops_the_executor_and_keeps_results_so_far(store: TestStore) {
    let mut worker = Worker::start(&store, |settings| settings.heartbeat = Duration::from_secs(3600));
    let (run, other) = (store.submit_one(new_run()).await, store.submit_one(new_run()).await);
    let [job, other_job] = worker.jobs([run, other]).await;
    job.unit_done(0..3);
    let cancelled = Instant::now();
    store.cancel(run).await.unwrap();
    timeout(Duration::from_secs(1), job.cancel.cancelled()).await.expect("it is told within a second");
    let run = finished(&store, run).await;
    assert!(cancelled.elapsed() < Duration::from_secs(1), "{:?}", cancelled.elapsed());
    assert_eq!((run.status, run.verdict, run.failure), (RunStatus::Cancelled, None, None));
    assert_eq!(store.places(run.id).await, [0, 1, 2]);
    assert!(!other_job.cancel.is_cancelled());
    other_job.succeeds();
    assert_eq!(finished(&store, other).await.status, RunStatus::Succeeded);
}

async fn a_run_that_fails_for_now_after_it_was_cancelled_is_cancelled(store: TestStore) {
    // It does not hear of the cancellation.
    let deaf = Hints::default();
    let mut worker = Worker::over(store.store.clone(), &deaf, |settings| {
        settings.heartbeat = Duration::from_secs(3600);
        settings.poll = Duration::from_millis(50);
    });
    let run = store.submit_one(new_run()).await;
    let job = worker.job().await;
    store.cancel(run).await.unwrap();
    job.fails(true);
    assert_eq!(finished(&store, run).await.status, RunStatus::Cancelled);
}

/// Upstream cancels for good what it was executing.
async fn fault_3_a_worker_that_stops_lets_its_runs_finish(store: TestStore) {
    let mut worker = Worker::start(&store, |_| {});
    let run = store.submit_one(new_run()).await;
    let job = worker.job().await;
    worker.stop.soon.cancel();
    let later = store.submit_one(new_run()).await;
    job.unit_done(0..1);
    until(async || store.places(run).await == [0]).await;
    assert!(!job.cancel.is_cancelled());
    job.succeeds_with(vec![result(0), result(1)]);
    worker.ended().await;
    assert_eq!(store.get(run).await.status, RunStatus::Succeeded);
    assert_eq!(store.places(run).await, [0, 1]);
    let later = store.get(later).await;
    assert_eq!((later.status, later.attempt), (RunStatus::Queued, 0));
}

async fn fault_3_after_the_grace_runs_are_given_back_and_the_attempt_is_not_spent(store: TestStore) {
    let mut worker = Worker::start(&store, |settings| settings.grace = Duration::from_millis(100));
    let new = Submission { max_attempts: 1, ..new_run() };
    let run = store.submit_one(new).await;
    let job = worker.job().await;
    worker.stop.soon.cancel();
    timeout(PATIENCE, job.cancel.cancelled()).await.unwrap();
    worker.ended().await;
    let given_back = store.get(run).await;
    assert_eq!((given_back.status, given_back.attempt), (RunStatus::Queued, 0));
    let started = Instant::now();
    let mut other = Worker::start(&store, |_| {});
    let job = other.job().await;
    assert!(started.elapsed() < Duration::from_secs(2));
    assert_eq!((job.run(), job.claimed.attempt), (run, 1));
    job.succeeds();
    assert_eq!(finished(&store, run).await.status, RunStatus::Succeeded);
}

async fn a_worker_that_stops_now_does_not_wait(store: TestStore) {
    let mut worker = Worker::start(&store, |settings| settings.grace = Duration::from_secs(3600));
    let mut other = Worker::start(&store, |settings| settings.slots = 1);
    let blocked = [other.job(), worker.job()];
    let runs = store.submit_many(6).await;
    let blocked = futures_util::future::join_all(blocked).await;
    let started = Instant::now();
    worker.stop.soon.cancel();
    worker.stop.now.cancel();
    worker.ended().await;
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    // What it gave back wakes the other.
    drop(blocked.into_iter().map(Job::succeeds).collect::<Vec<_>>());
    for _ in 1..6 {
        other.job().await.succeeds();
    }
    for run in runs {
        assert_eq!(finished(&store, run).await.attempt, 1);
    }
}

/// Upstream's stale worker overwrites the new owner's status.
async fn fault_2_a_worker_that_lost_its_lease_writes_nothing(store: TestStore) {
    let faulty = Faulty::<dyn Queue>::before(store.store.clone());
    let mut worker = Worker::over(faulty.clone(), &store.hints, |settings| {
        settings.lease = Duration::from_millis(100);
        settings.heartbeat = Duration::from_millis(40);
    });
    until(async || faulty.calls("claim") > 0).await;
    faulty.take_away(&["heartbeat", "scan"]);
    let (first, second) = (store.submit_one(new_run()).await, store.submit_one(new_run()).await);
    let [job, other_job] = worker.jobs([first, second]).await;
    faulty.take_away(&["heartbeat", "scan", "claim"]);
    // Another process finds it silent.
    let settled = AtomicUsize::new(0);
    until(async || {
        settled.fetch_add(store.reap().await.unwrap(), Ordering::SeqCst);
        settled.load(Ordering::SeqCst) == 2
    })
    .await;
    let taken = store.claim("thief", 2, LEASE).await.unwrap();
    assert_eq!(taken.len(), 2);
    let before = store.kinds(first).await;
    job.unit_done(0..3);
    job.succeeds_with((0..3).map(result).collect());
    until(async || faulty.calls("record") > 0).await;
    // The one that is still executed is stopped as soon as the loss is known.
    faulty.heal();
    timeout(PATIENCE, other_job.cancel.cancelled()).await.expect("it is stopped");
    worker.stop.soon.cancel();
    worker.ended().await;
    for run in [first, second] {
        let run = store.get(run).await;
        assert_eq!((run.status, run.worker.as_deref()), (RunStatus::Running, Some("thief")));
        assert!(store.places(run.id).await.is_empty());
    }
    assert_eq!(store.kinds(first).await, before);
    for claimed in taken {
        assert!(store.write(end(&claimed, succeeded())).await);
    }
}

async fn a_worker_that_claims_what_it_had_lost_stops_the_earlier_execution(store: TestStore) {
    let faulty = Faulty::<dyn Queue>::before(store.store.clone());
    faulty.take_away(&["heartbeat"]);
    let mut worker = Worker::over(faulty.clone(), &store.hints, |settings| {
        settings.lease = Duration::from_millis(100);
        settings.poll = Duration::from_millis(50);
    });
    let run = store.submit_one(Submission { max_attempts: 100, ..new_run() }).await;
    let first = worker.job().await;
    let second = worker.job().await;
    assert_eq!((first.run(), second.run()), (run, run));
    timeout(PATIENCE, first.cancel.cancelled()).await.expect("it is stopped");
    worker.stop.soon.cancel();
    worker.stop.now.cancel();
    worker.ended().await;
}

/// Upstream's slot dies, and the run is stuck.
async fn fault_4_an_outage_at_the_end_of_a_run_loses_nothing(store: TestStore) {
    let faulty = Faulty::<dyn Queue>::before(store.store.clone());
    let mut worker = Worker::over(faulty.clone(), &store.hints, |settings| settings.slots = 3);
    let runs = store.submit_many(3).await;
    let [good, bad, _stopped] = worker.jobs([runs[0], runs[1], runs[2]]).await;
    faulty.take_away(&["record"]);
    good.unit_done(0..2);
    good.succeeds_with((0..4).map(result).collect());
    bad.fails(false);
    store.cancel(runs[2]).await.unwrap();
    until(async || faulty.calls("record") >= 3).await;
    for run in &runs {
        assert_eq!(store.get(*run).await.status, RunStatus::Running);
    }
    faulty.heal();
    let mut statuses = Vec::new();
    for run in &runs {
        statuses.push(finished(&store, *run).await.status);
    }
    assert_eq!(statuses, [RunStatus::Succeeded, RunStatus::Failed, RunStatus::Cancelled]);
    assert_eq!(store.places(runs[0]).await, [0, 1, 2, 3]);
    assert_eq!(count(&store, runs[0], EventKind::ResultCreated).await, 4);
    assert_eq!(store.get(runs[1]).await.failure, Some(failure()));
    // Its slots are free again.
    store.submit_many(3).await;
    for _ in 0..3 {
        worker.job().await.succeeds();
    }
}

async fn an_end_whose_answer_is_lost_is_written_once(store: TestStore) {
    let faulty = Faulty::<dyn Queue>::before(store.store.clone());
    let mut times = 0;
    faulty.fail(move |call, moment| {
        let is_end = call.records.iter().any(|record| record.record().ending.is_some());
        (is_end && moment == Moment::After && {
            times += 1;
            times
        } == 1)
            .then(away)
    });
    let mut worker = Worker::over(faulty.clone(), &store.hints, |_| {});
    let run = store.submit_one(new_run()).await;
    worker.job().await.succeeds_with(vec![result(0)]);
    let finished = finished(&store, run).await;
    until(async || faulty.calls("record") >= 2).await;
    worker.stop.soon.cancel();
    worker.ended().await;
    assert_eq!(store.get(run).await, finished);
    use EventKind::{Queued, ResultCreated, Started, Succeeded};
    assert_eq!(store.kinds(run).await, [Queued, Started, ResultCreated, Succeeded]);
}

/// Upstream's heartbeat ends silently at the first error.
async fn fault_4_an_outage_of_claims_and_heartbeats_ends_nothing(store: TestStore) {
    let faulty = Faulty::<dyn Queue>::before(store.store.clone());
    faulty.take_away(&["claim", "scan", "reap", "heartbeat"]);
    let mut worker = Worker::over(faulty.clone(), &store.hints, |settings| {
        settings.heartbeat = Duration::from_millis(30);
    });
    let run = store.submit_one(new_run()).await;
    until(async || faulty.calls("scan") >= 2).await;
    faulty.heal();
    let job = worker.job().await;
    faulty.take_away(&["claim", "scan", "reap", "heartbeat"]);
    let before = faulty.calls("heartbeat");
    until(async || faulty.calls("heartbeat") >= before + 3).await;
    assert!(!job.cancel.is_cancelled());
    faulty.heal();
    // It still learns of cancellations.
    store.cancel(run).await.unwrap();
    timeout(PATIENCE, job.cancel.cancelled()).await.unwrap();
    assert_eq!(finished(&store, run).await.status, RunStatus::Cancelled);
}

async fn fault_16_a_record_that_cannot_be_stored_fails_its_run_and_no_other(store: TestStore) {
    let faulty = Faulty::<dyn Queue>::before(store.store.clone());
    let is_memory = store.database.is_none();
    // Deeper than PostgreSQL reads JSON.
    let deep = RawValue::from_string(format!("{}{}", "[".repeat(200_000), "]".repeat(200_000))).unwrap();
    let is_bad = |record: &agentevals::queue::PreparedRecord<'_>| {
        record.record().results.iter().any(|it| it.details.is_some())
    };
    faulty.fail(move |call, moment| {
        let refuses = is_memory && moment == Moment::Before && call.records.iter().any(is_bad);
        refuses.then(|| StoreError::Other(anyhow::anyhow!("too deep")))
    });
    let mut worker = Worker::over(faulty.clone(), &store.hints, |settings| settings.slots = 20);
    let runs = store.submit_many(20).await;
    let gate = faulty.hold("record");
    let jobs = worker.jobs::<20>(runs.clone().try_into().unwrap()).await;
    for (number, job) in jobs.into_iter().enumerate() {
        let details = (number % 7 == 3).then(|| deep.clone());
        job.succeeds_with(vec![ResultRecord { details, ..result(0) }]);
    }
    gate.add_permits(10_000);
    for (number, run) in runs.into_iter().enumerate() {
        let run = finished(&store, run).await;
        if number % 7 == 3 {
            assert_eq!((run.status, &*run.failure.unwrap().code), (RunStatus::Failed, "internal_error"));
        } else {
            assert_eq!((run.status, run.failure), (RunStatus::Succeeded, None));
            assert_eq!(store.places(run.id).await, [0]);
        }
    }
}

async fn heartbeats_keep_a_long_run(store: TestStore) {
    let mut worker = Worker::start(&store, |settings| {
        (settings.lease, settings.heartbeat) = (Duration::from_secs(1), Duration::from_millis(300));
    });
    let run = store.submit_one(new_run()).await;
    let job = worker.job().await;
    let mut thief = Worker::start(&store, |settings| settings.poll = Duration::from_millis(100));
    let stolen = timeout(Duration::from_secs(3), thief.jobs.recv()).await;
    assert!(stolen.is_err());
    job.succeeds();
    let run = finished(&store, run).await;
    assert_eq!((run.status, run.attempt), (RunStatus::Succeeded, 1));
}

async fn a_run_of_a_dead_worker_is_taken_over_when_its_lease_ends(store: TestStore) {
    let runs = store.submit_many(3).await;
    let dead = store.claim("the dead", 3, Duration::from_millis(600)).await.unwrap();
    assert_eq!(dead.len(), 3);
    let started = Instant::now();
    let mut worker = Worker::start(&store, |_| {});
    for _ in 0..3 {
        let job = worker.job().await;
        assert_eq!(job.claimed.attempt, 2);
        job.succeeds();
    }
    let elapsed = started.elapsed();
    assert!(elapsed > Duration::from_millis(400) && elapsed < Duration::from_secs(5), "{elapsed:?}");
    for run in runs {
        assert_eq!(finished(&store, run).await.status, RunStatus::Succeeded);
    }
}

async fn the_most_urgent_run_comes_first_when_a_slot_is_free(store: TestStore) {
    let mut worker = Worker::start(&store, |settings| settings.slots = 1);
    store.submit_one(new_run()).await;
    let mut job = worker.job().await;
    let mut expected = Vec::new();
    for priority in [0, -5, 100, 0, 7] {
        expected.push((
            -priority,
            expected.len(),
            store.submit_one(Submission { priority, ..new_run() }).await,
        ));
    }
    expected.sort_unstable();
    for (.., run) in expected {
        job.succeeds();
        job = worker.job().await;
        assert_eq!(job.run(), run);
    }
}

async fn no_more_runs_are_claimed_than_there_are_slots(store: TestStore) {
    let executor = Arc::new(Counting::default());
    let runs = store.submit_many(60).await;
    let (stop, task) = start_worker(store.store.clone(), &store.hints, executor.clone(), |it| it.slots = 3);
    for run in runs {
        finished(&store, run).await;
    }
    assert!(executor.most.load(Ordering::SeqCst) <= 3);
    stop.soon.cancel();
    timeout(PATIENCE, task).await.unwrap().unwrap();
    let mut worker = Worker::start(&store, |settings| settings.slots = 3);
    let runs = store.submit_many(7).await;
    let jobs = [worker.job().await, worker.job().await, worker.job().await];
    let mut statuses = HashMap::<_, usize>::new();
    for run in runs {
        *statuses.entry(store.get(run).await.status).or_default() += 1;
    }
    assert_eq!(statuses, HashMap::from([(RunStatus::Running, 3), (RunStatus::Queued, 4)]));
    drop(jobs);
}

async fn a_claim_that_is_answered_during_the_stop_is_not_lost(store: TestStore) {
    let faulty = Faulty::<dyn Queue>::before(store.store.clone());
    let gate = faulty.hold("claim");
    let run = store.submit_one(new_run()).await;
    let mut worker = Worker::over(faulty.clone(), &store.hints, |settings| {
        settings.grace = Duration::from_millis(50);
    });
    until(async || store.get(run).await.status == RunStatus::Running).await;
    worker.stop.soon.cancel();
    gate.add_permits(1);
    let job = worker.job().await;
    assert_eq!(job.run(), run);
    worker.ended().await;
    let given_back = store.get(run).await;
    assert_eq!((given_back.status, given_back.attempt), (RunStatus::Queued, 0));
}

async fn results_are_stored_while_the_run_goes_on(store: TestStore) {
    let mut worker = Worker::start(&store, |_| {});
    let run = store.submit_one(new_run()).await;
    let job = worker.job().await;
    job.unit_done(0..2);
    until(async || store.places(run).await == [0, 1]).await;
    assert_eq!(store.get(run).await.progress, Some(Progress { done: 2, total: 10 }));
    assert_eq!(store.get(run).await.status, RunStatus::Running);
    job.unit_done(2..5);
    until(async || store.places(run).await.len() == 5).await;
    job.unit_done(5..6);
    job.succeeds_with((0..8).map(result).collect());
    finished(&store, run).await;
    assert_eq!(store.places(run).await, (0..8).collect::<Vec<_>>());
    assert_eq!(count(&store, run, EventKind::ResultCreated).await, 8);
}
