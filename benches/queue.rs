//! The queue against bare SQL over the same driver and the same PostgreSQL, in alternating rounds.
//!
//! `just bench-queue` starts a private PostgreSQL and runs it; `AGENTEVALS_DATABASE_URL` names another one, in which
//! everything is done in schemas of its own. Arguments select parts: `wake`, `submit`, `drain`, `evaluate`, `steady`,
//! `idle`, `history`. See `benches/README.md` for what came out.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use agentevals::api::{self, ApiSettings, Services};
use agentevals::credentials::Credentials;
use agentevals::evaluation::Verdict;
use agentevals::evaluators::CodePolicy;
use agentevals::ids::{LeaseId, RunId};
use agentevals::net::{Outbound, OutboundRules};
use agentevals::outbox::OutboxService;
use agentevals::queue::{
    Claimed, Evaluation, ExecutedRun, ExecutionError, Executor, Lease, Resources, UnitResults,
    WorkerSettings, work,
};
use agentevals::runs::{EvaluatorType, Hints, ResultRecord, ResultStatus, RunService, Submitted, Summary};
use agentevals::shutdown::Stop;
use agentevals::sources::FetchLimits;
use agentevals::spec::{Submission, TargetKind};
use agentevals::storage::postgres::{
    Database, DatabaseSettings, Migrator, PoolSize, PostgresStore, forward_hints,
};
use async_trait::async_trait;
use futures_util::StreamExt;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_postgres::{Client, NoTls};
use tokio_util::sync::CancellationToken;

const ROUNDS: usize = 5;

#[tokio::main]
async fn main() {
    rustls::crypto::ring::default_provider().install_default().expect("there is none yet");
    let url = std::env::var("AGENTEVALS_DATABASE_URL").expect("AGENTEVALS_DATABASE_URL names a PostgreSQL");
    let chosen: Vec<String> =
        std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let is_chosen = |part: &str| chosen.is_empty() || chosen.iter().any(|chosen| chosen == part);
    let bench = Bench::start(&url).await;
    if is_chosen("idle") {
        idle(&bench).await;
    }
    for part in ["", "history"] {
        if part == "history" {
            if !is_chosen(part) {
                break;
            }
            bench.add_history().await;
        }
        if is_chosen("wake") {
            wake(&bench).await;
        }
        if is_chosen("submit") {
            submit(&bench).await;
        }
        if is_chosen("drain") {
            drain(&bench).await;
        }
        if is_chosen("evaluate") {
            evaluate(&bench).await;
        }
        if is_chosen("steady") {
            steady(&bench).await;
        }
    }
}

/// A migrated database, a bare connection and our store over it.
struct Bench {
    url: String,
    store: PostgresStore,
    hints: Hints,
    service: RunService,
    _closed: tokio_util::sync::DropGuard,
}

impl Bench {
    async fn start(url: &str) -> Self {
        let mut settings = DatabaseSettings::new(url.parse().expect("the URL is valid"));
        settings.schema = "agentevals_bench".parse().expect("the name is valid");
        settings.pool = PoolSize::for_runs(4);
        connect(url)
            .await
            .batch_execute("DROP SCHEMA IF EXISTS agentevals_bench CASCADE")
            .await
            .expect("drops");
        Migrator::connect(&settings).await.expect("connects").up().await.expect("migrates");
        let (hints, closed) = (Hints::default(), CancellationToken::new());
        forward_hints(&settings, hints.clone(), closed.clone()).expect("listens");
        let store =
            PostgresStore::open(Database::connect(&settings).await.expect("connects")).await.expect("adopts");
        let shared = Arc::new(store.clone());
        let service = RunService::new(shared.clone(), shared.clone(), shared, &hints);
        Self { url: url.to_owned(), store, hints, service, _closed: closed.drop_guard() }
    }

    fn worker(&self, slots: usize, executor: impl Executor + 'static) -> Worker {
        let settings = WorkerSettings {
            name: "bench".to_owned(),
            slots,
            lease: Duration::from_secs(30),
            heartbeat: Duration::from_secs(5),
            poll: Duration::from_secs(5),
            grace: Duration::from_secs(5),
            first_backoff: Duration::from_secs(1),
        };
        let (store, hints, stop) = (Arc::new(self.store.clone()), self.hints.clone(), Stop::default());
        let soon = stop.soon.clone();
        let task = tokio::spawn(async move { work(store, &hints, Arc::new(executor), settings, stop).await });
        Worker { task, soon }
    }

    /// A million finished runs, each with a result and its events.
    async fn add_history(&self) {
        println!("\nwith 1,000,000 finished runs in the tables:");
        let client = connect(&self.url).await;
        client.batch_execute(include_str!("history.sql")).await.expect("fills the tables");
        client.batch_execute("VACUUM ANALYZE").await.expect("settles them");
    }
}

struct Worker {
    task: JoinHandle<()>,
    soon: CancellationToken,
}

impl Worker {
    async fn stop(self) {
        self.soon.cancel();
        self.task.await.expect("the worker ends well");
    }
}

async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.expect("connects");
    tokio::spawn(connection);
    client
}

/// Tells of each run that starts, and lets it succeed with one result.
struct NoOp(Option<mpsc::UnboundedSender<RunId>>);

#[async_trait]
impl Executor for NoOp {
    async fn execute(
        &self,
        claimed: &Claimed,
        _observer: &(dyn Fn(UnitResults) + Send + Sync),
        _cancel: &CancellationToken,
    ) -> Result<ExecutedRun, ExecutionError> {
        if let Some(started) = &self.0 {
            let _ = started.send(claimed.lease.run);
        }
        let result = ResultRecord {
            ordinal: 0,
            item_id: "c9d9481f4d5aa027fc5e888af2158790".to_owned(),
            item_name: "c9d9481f4d5aa027fc5e888af2158790".to_owned(),
            eval_case_id: Some("case".to_owned()),
            evaluator_name: "tool_trajectory_avg_score".to_owned(),
            evaluator_type: EvaluatorType::Builtin,
            status: ResultStatus::Passed,
            score: Some(1.0),
            per_invocation_scores: vec![Some(1.0)],
            trace_id: Some("c9d9481f4d5aa027fc5e888af2158790".to_owned()),
            span_id: Some("5f17d6a4efa902bb".to_owned()),
            details: None,
            error_text: None,
            latency_ms: Some(1),
        };
        let summary = Summary { trace_count: 1, ..Summary::default() };
        Ok(ExecutedRun { verdict: Verdict::Passed, summary, results: vec![result], total: 1 })
    }
}

fn new_run(spec: &str) -> Submission {
    Submission {
        id: RunId::new_v7(),
        is_id_chosen: false,
        idempotency_key: None,
        spec: spec.to_owned(),
        digest: [7; 32],
        priority: 0,
        deadline: Duration::from_secs(300),
        max_attempts: 3,
        labels: BTreeMap::new(),
        target_kind: TargetKind::Inline,
        eval_set_id: None,
        sinks: Vec::new(),
    }
}

/// One of some specifications made beforehand, so that making them is not measured.
fn spec() -> String {
    static MADE: LazyLock<Vec<String>> = LazyLock::new(|| (0..256).map(|_| make_spec()).collect());
    MADE[fastrand::usize(..MADE.len())].clone()
}

/// Two kilobytes with a small trace, which compression cannot make much smaller.
fn make_spec() -> String {
    let random: String = (0..1500).map(|_| fastrand::alphanumeric()).collect();
    format!(
        r#"{{"target":{{"kind":"inline","inline":{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{{
        "traceId":"c9d9481f4d5aa027fc5e888af2158790","spanId":"5f17d6a4efa902bb","name":"invoke_agent a",
        "startTimeUnixNano":"1700000000001000000","endTimeUnixNano":"1700000000301000000","attributes":[
        {{"key":"gen_ai.operation.name","value":{{"stringValue":"invoke_agent"}}}},
        {{"key":"note","value":{{"stringValue":"{random}"}}}}]}}]}}]}}]}}}}}}"#
    )
}

/// Submitted to started, at idle.
async fn wake(bench: &Bench) {
    const SAMPLES: usize = 400;
    let bare = BareWake::new(&bench.url).await;
    let (sender, mut started) = mpsc::unbounded_channel();
    let worker = bench.worker(8, NoOp(Some(sender)));
    let (mut bare_times, mut our_times) = (Vec::new(), Vec::new());
    for _ in 0..SAMPLES {
        tokio::time::sleep(Duration::from_millis(10)).await;
        bare_times.push(bare.measure().await);
        tokio::time::sleep(Duration::from_millis(10)).await;
        let begin = Instant::now();
        let spec = spec();
        let submit = bench.service.submit(new_run(&spec));
        let (submitted, _) = tokio::join!(submit, started.recv());
        assert!(matches!(submitted, Ok(Submitted::Created(_))));
        our_times.push(begin.elapsed());
    }
    worker.stop().await;
    print_times("wake   bare insert + NOTIFY + claim", &mut bare_times);
    print_times("wake   submit to started", &mut our_times);
}

/// A table with a trigger-free insert, a notification and a claim, as plain as they can be.
struct BareWake {
    submitter: Client,
    claimer: Client,
    _listener: Client,
    notified: tokio::sync::Mutex<mpsc::UnboundedReceiver<()>>,
    insert: tokio_postgres::Statement,
    claim: tokio_postgres::Statement,
}

impl BareWake {
    async fn new(url: &str) -> Self {
        let submitter = connect(url).await;
        submitter.batch_execute(BARE_TABLE).await.expect("creates");
        let (listener, mut connection) = tokio_postgres::connect(url, NoTls).await.expect("connects");
        let (sender, notified) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            let mut messages = futures_util::stream::poll_fn(move |context| connection.poll_message(context));
            while let Some(Ok(message)) = messages.next().await {
                if matches!(message, tokio_postgres::AsyncMessage::Notification(_)) {
                    let _ = sender.send(());
                }
            }
        });
        listener.batch_execute("LISTEN bare").await.expect("listens");
        let claimer = connect(url).await;
        let insert = "WITH i AS (INSERT INTO bare_queue (id, document) VALUES ($1, $2) RETURNING id) \
                      SELECT pg_notify('bare', id::text) FROM i";
        let claim = "UPDATE bare_queue SET lease = now() WHERE id = (SELECT id FROM bare_queue WHERE lease IS NULL \
                     ORDER BY seq LIMIT 1 FOR UPDATE SKIP LOCKED) RETURNING id, document";
        let insert = submitter.prepare(insert).await.expect("prepares");
        let claim = claimer.prepare(claim).await.expect("prepares");
        let notified = tokio::sync::Mutex::new(notified);
        Self { submitter, claimer, _listener: listener, notified, insert, claim }
    }

    async fn measure(&self) -> Duration {
        let begin = Instant::now();
        let (id, spec) = (uuid::Uuid::now_v7(), spec());
        let claimed = async {
            self.notified.lock().await.recv().await;
            self.claimer.query(&self.claim, &[]).await.expect("claims")
        };
        let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 2] = [&id, &spec];
        let inserted = self.submitter.execute(&self.insert, &parameters);
        let (inserted, claimed) = tokio::join!(inserted, claimed);
        inserted.expect("inserts");
        assert_eq!(claimed.len(), 1);
        begin.elapsed()
    }
}

const BARE_TABLE: &str = "DROP TABLE IF EXISTS bare_queue; \
    CREATE TABLE bare_queue (seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, id uuid NOT NULL UNIQUE, \
    document text, lease timestamptz, done boolean NOT NULL DEFAULT false)";

/// Submissions per second, 64 at a time.
async fn submit(bench: &Bench) {
    const RUNS: usize = 4_000;
    const CONCURRENT: usize = 64;
    let (mut bare, mut ours, mut http) = (Vec::new(), Vec::new(), Vec::new());
    let clients = futures_util::future::join_all((0..CONCURRENT).map(|_| connect(&bench.url))).await;
    clients[0].batch_execute(BARE_TABLE).await.expect("creates");
    let insert = "INSERT INTO bare_queue (id, document) VALUES ($1, $2)";
    let prepared = futures_util::future::join_all(clients.iter().map(|client| client.prepare(insert))).await;
    let server = HttpServer::start(bench).await;
    for _ in 0..ROUNDS {
        bare.push(
            rate(RUNS, CONCURRENT, |worker, count| {
                let (client, insert) = (&clients[worker], prepared[worker].as_ref().expect("prepares"));
                async move {
                    for _ in 0..count {
                        let (id, spec) = (uuid::Uuid::now_v7(), spec());
                        client.execute(insert, &[&id, &spec]).await.expect("inserts");
                    }
                }
            })
            .await,
        );
        ours.push(
            rate(RUNS, CONCURRENT, |_, count| async move {
                for _ in 0..count {
                    bench.service.submit(new_run(&spec())).await.expect("submits");
                }
            })
            .await,
        );
        http.push(rate(RUNS, CONCURRENT, |_, count| server.submit(count)).await);
    }
    let bare = median(&mut bare);
    println!("submit bare single inserts       {bare:>9.0} /s");
    print_rate("submit through the service", &mut ours, bare);
    print_rate("submit over HTTP", &mut http, bare);
    server.stop().await;
    empty_queue(bench).await;
}

/// The rate of `total` calls made by `workers` tasks at a time.
async fn rate<F: Future<Output = ()>>(total: usize, workers: usize, call: impl Fn(usize, usize) -> F) -> f64 {
    let begin = Instant::now();
    futures_util::future::join_all((0..workers).map(|worker| call(worker, total / workers))).await;
    total as f64 / begin.elapsed().as_secs_f64()
}

/// The service in this process, asked by a client in this process.
struct HttpServer {
    client: reqwest::Client,
    url: String,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl HttpServer {
    async fn start(bench: &Bench) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("binds");
        listener.set_nonblocking(true).expect("it is a socket");
        let url = format!("http://{}/api/runs", listener.local_addr().expect("it is bound"));
        let acceptor = poem::listener::TcpAcceptor::from_std(listener).expect("it is a socket");
        let stop = CancellationToken::new();
        let (runs, store) = (bench.service.clone(), Arc::new(bench.store.clone()));
        let outbox = OutboxService::new(store.clone(), runs.clone());
        let services = Services { runs, outbox, finished: store };
        let app = api::app(services, ApiSettings::default(), stop.clone());
        let end = stop.clone().cancelled_owned();
        let task = tokio::spawn(async move {
            let server = poem::Server::new_with_acceptor(acceptor);
            server.run_with_graceful_shutdown(app, end, Some(Duration::ZERO)).await.expect("serves");
        });
        Self { client: reqwest::Client::new(), url, stop, task }
    }

    async fn submit(&self, count: usize) {
        for _ in 0..count {
            let body = format!(r#"{{"spec":{}}}"#, spec());
            let request = self.client.post(&self.url).header("content-type", "application/json").body(body);
            let response = request.send().await.expect("answers");
            assert_eq!(response.status(), 202);
            response.bytes().await.expect("has a body");
        }
    }

    async fn stop(self) {
        self.stop.cancel();
        self.task.await.expect("the server ends well");
    }
}

/// Queued runs to finished ones, per second.
async fn drain(bench: &Bench) {
    const RUNS: usize = 20_000;
    const BATCH: i64 = 500;
    let client = connect(&bench.url).await;
    let (mut bare, mut ours) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        client.batch_execute(BARE_TABLE).await.expect("creates");
        let fill = format!(
            "INSERT INTO bare_queue (id) SELECT gen_random_uuid() FROM generate_series(1, {RUNS}); ANALYZE bare_queue"
        );
        client.batch_execute(&fill).await.expect("fills");
        bare.push(RUNS as f64 / drain_bare(&client, BATCH).await.as_secs_f64());
        ours.push(RUNS as f64 / drain_ours(bench, RUNS).await.as_secs_f64());
    }
    let bare = median(&mut bare);
    println!("drain  bare claim + complete     {bare:>9.0} /s in batches of {BATCH}");
    print_rate("drain  claim, events, result, finish", &mut ours, bare);
}

async fn drain_bare(client: &Client, batch: i64) -> Duration {
    let claim = "UPDATE bare_queue SET lease = now() WHERE seq IN (SELECT seq FROM bare_queue WHERE lease IS NULL \
                 ORDER BY seq LIMIT $1 FOR UPDATE SKIP LOCKED) RETURNING id";
    let claim = client.prepare(claim).await.expect("prepares");
    let complete =
        client.prepare("UPDATE bare_queue SET done = true WHERE id = ANY($1)").await.expect("prepares");
    let begin = Instant::now();
    loop {
        let rows = client.query(&claim, &[&batch]).await.expect("claims");
        if rows.is_empty() {
            return begin.elapsed();
        }
        let ids: Vec<uuid::Uuid> = rows.iter().map(|row| row.get(0)).collect();
        client.execute(&complete, &[&ids]).await.expect("completes");
    }
}

async fn drain_ours(bench: &Bench, runs: usize) -> Duration {
    fill_queue(bench, runs, |_| r#"{"target":{"kind":"inline","inline":{}}}"#.to_owned()).await;
    drain_with(bench, 512, NoOp(None)).await
}

async fn fill_queue(bench: &Bench, runs: usize, spec: impl Fn(usize) -> String) {
    use agentevals::runs::Runs;
    let runs: Vec<_> = (0..runs).map(|number| new_run(&spec(number))).collect();
    for group in runs.chunks(500) {
        bench.store.submit(group).await.expect("submits");
    }
    let client = connect(&bench.url).await;
    client.batch_execute("ANALYZE agentevals_bench.run_queue").await.expect("analyzes");
}

/// How long a worker takes until the queue is empty.
async fn drain_with(bench: &Bench, slots: usize, executor: impl Executor + 'static) -> Duration {
    let begin = Instant::now();
    let worker = bench.worker(slots, executor);
    let client = connect(&bench.url).await;
    let left =
        client.prepare("SELECT EXISTS (SELECT FROM agentevals_bench.run_queue)").await.expect("prepares");
    while client.query_one(&left, &[]).await.expect("counts").get(0) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let took = begin.elapsed();
    worker.stop().await;
    took
}

async fn empty_queue(bench: &Bench) {
    drain_with(bench, 512, NoOp(None)).await;
}

/// What evaluates as in production, with nothing allowed.
fn evaluation() -> Evaluation {
    Evaluation::new(Resources {
        code: CodePolicy::Refused,
        outbound: Outbound::new(OutboundRules::default()).expect("TLS is set up"),
        credentials: Credentials::default(),
        fetch: FetchLimits::default(),
    })
}

/// Queued runs with a small recording to evaluated ones, per second.
async fn evaluate(bench: &Bench) {
    const RUNS: usize = 2_000;
    let trace = include_str!("../samples/adk-travel.json");
    let eval_set = include_str!("../samples/adk-travel.eval.json");
    let spec = format!(r#"{{"target":{{"kind":"inline","inline":{trace}}},"evalSet":{eval_set}}}"#);
    let mut rates = Vec::new();
    for _ in 0..ROUNDS {
        fill_queue(bench, RUNS, |_| spec.clone()).await;
        let took = drain_with(bench, 64, evaluation()).await;
        rates.push(RUNS as f64 / took.as_secs_f64());
    }
    println!("drain  with evaluation of {} bytes {:>6.0} /s", spec.len(), median(&mut rates));
    println!("       evaluation alone            {:>6.0} /s", evaluate_alone(&spec, RUNS).await);
}

/// The same evaluations without any storage.
async fn evaluate_alone(spec: &str, runs: usize) -> f64 {
    let executor = evaluation();
    rate(runs, 16, |_, count| {
        let executor = &executor;
        async move {
            for _ in 0..count {
                let claimed = Claimed {
                    lease: Lease { run: RunId::new_v7(), id: LeaseId::new_random() },
                    attempt: 1,
                    max_attempts: 1,
                    deadline: Duration::from_secs(300),
                    spec: spec.to_owned(),
                    has_sinks: false,
                };
                executor.execute(&claimed, &|_| (), &CancellationToken::new()).await.expect("evaluates");
            }
        }
    })
    .await
}

/// Submitted to finished at 500 runs per second, with few watchers and with a thousand.
async fn steady(bench: &Bench) {
    for (label, every) in [("50 watchers a second", 10), ("every run watched", 1)] {
        let worker = bench.worker(64, NoOp(None));
        let mut ticks = tokio::time::interval(Duration::from_millis(2));
        let mut watchers = tokio::task::JoinSet::new();
        for number in 0..5_000 {
            ticks.tick().await;
            let service = bench.service.clone();
            watchers.spawn(async move {
                let begin = Instant::now();
                let submitted = service.submit(new_run(&spec())).await.expect("submits");
                let (Submitted::Created(run) | Submitted::Same(run) | Submitted::Conflict(run)) = submitted;
                if number % every != 0 {
                    return None;
                }
                let _ = service.watch(&run, 0).count().await;
                Some(begin.elapsed())
            });
        }
        let mut times: Vec<_> = watchers.join_all().await.into_iter().flatten().collect();
        print_times(&format!("steady 500 runs/s, {label}"), &mut times);
        worker.stop().await;
    }
}

/// Transactions of an idle process.
async fn idle(bench: &Bench) {
    const WINDOW: Duration = Duration::from_secs(20);
    let worker = bench.worker(8, NoOp(None));
    let client = connect(&bench.url).await;
    let before = transactions(&client).await;
    tokio::time::sleep(WINDOW - Duration::from_secs(12)).await;
    let after = transactions(&client).await;
    // The two readings are transactions, too.
    let count = after - before - 1;
    println!("idle   {count} transactions in {} s", WINDOW.as_secs());
    worker.stop().await;
}

async fn transactions(client: &Client) -> i64 {
    tokio::time::sleep(Duration::from_secs(12)).await; // sessions that are idle tell their counts every ten seconds
    let sql = "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = current_database()";
    client.query_one(sql, &[]).await.expect("reads").get(0)
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn print_rate(what: &str, rates: &mut [f64], bare: f64) {
    let rate = median(rates);
    println!("{what:<36} {rate:>6.0} /s = {:.2} x bare", rate / bare);
}

fn print_times(what: &str, times: &mut [Duration]) {
    times.sort();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
    println!("{what:<42} p50 {:>6.2} ms   p99 {:>6.2} ms   of {}", at(0.5), at(0.99), times.len());
}
