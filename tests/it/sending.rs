//! Messages sent to real receivers on this machine, files and lines. `fault_N` is explained in `store/mod.rs`.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use agentevals::credentials::{CredentialRules, Credentials, Secret};
use agentevals::ids::RunId;
use agentevals::net::{Outbound, OutboundRules};
use agentevals::outbox::{
    DispatchSettings, Message, MessageId, MessageState, Outbox, Phase, Sender, dispatch,
};
use agentevals::queue::Record;
use agentevals::runs::Hints;
use agentevals::shutdown::Stop;
use agentevals::spec::Submission;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::support::faulty::{Faulty, Moment, away};
use crate::support::http_server::{HttpServer, Reply, Request};
use crate::support::runs::{PATIENCE, TestStore, end, failed, on_both, part, succeeded, until};
use crate::support::sinks::with_written;

on_both! {
    fault_9_results_and_the_end_arrive_in_order_each_with_its_id,
    fault_9_what_fails_for_now_is_sent_again_under_the_same_id_and_nothing_overtakes_it,
    fault_9_a_receiver_that_wants_to_be_left_alone_is,
    fault_9_what_is_refused_is_dead_at_once_and_can_be_sent_again,
    fault_9_a_redirect_is_not_followed,
    a_receiver_that_is_away_or_hangs_is_given_up_after_the_last_attempt,
    a_receiver_that_hangs_does_not_hold_up_others,
    two_processes_keep_the_order_of_each_run,
    what_is_due_is_delivered_before_a_process_ends,
    a_message_written_during_the_last_look_is_delivered_before_a_process_ends,
    a_message_that_outlasts_the_grace_is_given_back,
    an_outage_of_storage_loses_nothing,
}

/// A process that sends messages.
struct Dispatcher {
    stop: Stop,
    is_over: CancellationToken,
    task: JoinHandle<()>,
}

/// What a dispatcher has besides storage.
struct Means {
    outbound: &'static str,
    credentials: Credentials,
    files: Option<PathBuf>,
    stdout: Arc<Mutex<Vec<u8>>>,
    settings: DispatchSettings,
}

impl Default for Means {
    /// May call this machine, wakes up by hints alone, and is not patient.
    fn default() -> Self {
        let settings = DispatchSettings {
            margin: Duration::from_secs(20),
            poll: Duration::from_secs(3600),
            grace: Duration::from_secs(30),
            first_pause: Duration::from_millis(20),
        };
        let (credentials, stdout) = (Credentials::default(), Arc::default());
        Self { outbound: "127.0.0.1", credentials, files: None, stdout, settings }
    }
}

/// Writes to a buffer that a test can look at.
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Dispatcher {
    fn start(store: &TestStore) -> Self {
        Self::with(store, Means::default())
    }

    fn with(store: &TestStore, means: Means) -> Self {
        Self::over(store.store.clone(), &store.hints, means)
    }

    fn over(outbox: Arc<dyn Outbox>, hints: &Hints, means: Means) -> Self {
        let Means { outbound, credentials, files, stdout, settings } = means;
        let outbound = Outbound::new(outbound.parse::<OutboundRules>().unwrap()).unwrap();
        let sender = Sender::new(outbound, credentials, files, Arc::new(Mutex::new(Shared(stdout))));
        let (stop, is_over, hints) = (Stop::default(), CancellationToken::new(), hints.clone());
        let task = tokio::spawn({
            let (stop, is_over) = (stop.clone(), is_over.clone());
            async move { dispatch(outbox, &hints, sender, settings, stop, is_over).await }
        });
        Self { stop, is_over, task }
    }

    /// Stops it as a process does whose worker has ended.
    fn stop(&self) {
        self.stop.soon.cancel();
        self.is_over.cancel();
    }

    async fn ended(self) {
        timeout(PATIENCE, self.task).await.expect("it ends").unwrap();
    }
}

fn webhook(server: &HttpServer) -> Value {
    json!({"kind": "http_webhook", "url": server.url("/hook?token=s3cr3t")})
}

/// Stores a run and has it end as soon as it is claimed, with one result.
async fn ended(store: &TestStore, new: Submission) -> RunId {
    store.submit_one(new).await;
    let claimed = store.claim_one().await;
    assert!(store.write(part(&claimed, [0])).await);
    assert!(store.write(end(&claimed, succeeded())).await);
    claimed.lease.run
}

async fn ended_for(store: &TestStore, server: &HttpServer) -> RunId {
    ended(store, with_written([webhook(server)], &json!({}))).await
}

/// The messages of a run once none of them is pending.
async fn settled(store: &TestStore, run: RunId) -> Vec<Message> {
    until(async || {
        let messages = store.all_messages(run).await;
        messages.iter().all(|message| message.state != MessageState::Pending)
    })
    .await;
    store.all_messages(run).await
}

async fn delivered(store: &TestStore, run: RunId) {
    let messages = settled(store, run).await;
    assert!(messages.iter().all(|message| message.state == MessageState::Delivered), "{messages:#?}");
}

/// Waits until the first message to a sink has failed with such a text, and is to be tried again.
async fn failing(store: &TestStore, run: RunId, sink: u16, why: &str) {
    until(async || {
        let messages = store.all_messages(run).await;
        let mut of_sink = messages.iter().filter(|message| message.id.sink == sink);
        let first = of_sink.next().unwrap();
        first.state == MessageState::Pending
            && first.last_error.as_ref().is_some_and(|error| error.contains(why))
    })
    .await;
}

fn id(request: &Request) -> String {
    request.header("webhook-id").unwrap().to_owned()
}

fn phase(request: &Request) -> String {
    let body: Value = serde_json::from_str(request.text()).unwrap();
    body["phase"].as_str().unwrap().to_owned()
}

async fn fault_9_results_and_the_end_arrive_in_order_each_with_its_id(store: TestStore) {
    let server = HttpServer::scripted([Reply::status(204)]).await;
    let dispatcher = Dispatcher::start(&store);
    let run = ended_for(&store, &server).await;
    delivered(&store, run).await;
    let requests = server.requests();
    assert_eq!(requests.iter().map(id).collect::<Vec<_>>(), [format!("{run}-3-0"), format!("{run}-5-0")]);
    assert_eq!(requests.iter().map(phase).collect::<Vec<_>>(), ["partial", "final"]);
    for request in &requests {
        assert_eq!((&*request.method, &*request.target), ("POST", "/hook?token=s3cr3t"));
        assert_eq!(request.header("content-type"), Some("application/json"));
        assert_eq!(request.header("webhook-signature"), None);
        let sent: i64 = request.header("webhook-timestamp").unwrap().parse().unwrap();
        assert!((chrono::Utc::now().timestamp() - sent).abs() < 60);
    }
    let messages = store.all_messages(run).await;
    assert!(messages.iter().all(|message| message.last_status == Some(204) && message.tries == 1));
    dispatcher.stop();
    dispatcher.ended().await;
}

async fn fault_9_what_fails_for_now_is_sent_again_under_the_same_id_and_nothing_overtakes_it(
    store: TestStore,
) {
    let replies = [500, 503, 200, 408, 425, 429, 200].map(Reply::status);
    let server = HttpServer::scripted(replies).await;
    let _dispatcher = Dispatcher::start(&store);
    let run = ended_for(&store, &server).await;
    delivered(&store, run).await;
    let requests = server.requests();
    let (first, second) = (format!("{run}-3-0"), format!("{run}-5-0"));
    let ids: Vec<_> = requests.iter().map(id).collect();
    assert_eq!(ids, [[&*first; 3].as_slice(), &[&*second; 4]].concat());
    assert!(requests[..3].iter().all(|request| request.body == requests[0].body));
    let attempts: Vec<_> = store.all_messages(run).await.iter().map(|message| message.tries).collect();
    assert_eq!(attempts, [3, 4]);
}

async fn fault_9_a_receiver_that_wants_to_be_left_alone_is(store: TestStore) {
    let times: Arc<Mutex<Vec<Instant>>> = Arc::default();
    let server = HttpServer::start({
        let times = times.clone();
        move |number, _| {
            times.lock().unwrap().push(Instant::now());
            match number {
                0 => Reply::status(429).header("Retry-After", "1"),
                _ => Reply::status(200),
            }
        }
    })
    .await;
    let _dispatcher = Dispatcher::start(&store);
    let run = ended_for(&store, &server).await;
    delivered(&store, run).await;
    let times = times.lock().unwrap();
    assert!(times[1] - times[0] >= Duration::from_secs(1), "{:?}", times[1] - times[0]);
}

async fn fault_9_what_is_refused_is_dead_at_once_and_can_be_sent_again(store: TestStore) {
    let replies = [Reply::text(400, "no such\nhook: s3cr3"), Reply::text(410, "s3cr3t"), Reply::status(200)];
    let server = HttpServer::scripted(replies).await;
    let _dispatcher = Dispatcher::start(&store);
    let run = ended_for(&store, &server).await;
    let messages = settled(&store, run).await;
    let known: Vec<_> = messages.iter().map(|it| (it.state, it.tries, it.last_status)).collect();
    assert_eq!(known, [(MessageState::Dead, 1, Some(400)), (MessageState::Dead, 1, Some(410))]);
    let errors: Vec<_> = messages.iter().map(|message| message.last_error.as_deref().unwrap()).collect();
    // What could be a secret is not repeated.
    assert_eq!(errors, ["answered 400 Bad Request: no such hook: s3cr3", "answered 410 Gone"]);
    store.redeliver(run, None).await.unwrap();
    delivered(&store, run).await;
    let ids: Vec<_> = server.requests().iter().map(id).collect();
    assert_eq!(ids[..2], ids[2..], "the same messages");
}

async fn fault_9_a_redirect_is_not_followed(store: TestStore) {
    let elsewhere = HttpServer::scripted([Reply::status(200)]).await;
    let server =
        HttpServer::scripted([302, 307].map(|status| Reply::redirect(status, elsewhere.url("/")))).await;
    let _dispatcher = Dispatcher::start(&store);
    let run = ended_for(&store, &server).await;
    let messages = settled(&store, run).await;
    assert!(messages.iter().all(|message| message.state == MessageState::Dead), "{messages:#?}");
    assert!(messages[0].last_error.as_ref().unwrap().contains("not followed"), "{messages:#?}");
    assert_eq!((server.requests().len(), elsewhere.requests().len()), (2, 0));
}

async fn a_receiver_that_is_away_or_hangs_is_given_up_after_the_last_attempt(store: TestStore) {
    let hanging = HttpServer::scripted([Reply::hanging()]).await;
    let closing = HttpServer::scripted([Reply::closing()]).await;
    let away = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}/?token=s3cr3t", listener.local_addr().unwrap())
    };
    let urls = [hanging.url("/"), closing.url("/"), away];
    let sinks =
        urls.map(|url| json!({"kind": "http_webhook", "url": url, "timeout_s": 0.2, "max_attempts": 3}));
    let _dispatcher = Dispatcher::start(&store);
    let run = ended(&store, with_written(sinks, &json!({}))).await;
    for message in settled(&store, run).await {
        let attempts = if message.phase == Phase::Partial { 3 } else { 0 };
        assert_eq!((message.state, message.tries, message.last_status), (MessageState::Dead, attempts, None));
        let error = message.last_error.unwrap();
        assert!(error.starts_with("given up after 3 attempts: http://127.0.0.1:"), "{error}");
        assert!(!error.contains("s3cr3t"), "{error}");
    }
    // What waited for the first is not tried as long again.
    assert_eq!((hanging.requests().len(), closing.requests().len()), (3, 3));
}

async fn a_receiver_that_hangs_does_not_hold_up_others(store: TestStore) {
    let hanging = HttpServer::scripted([Reply::hanging()]).await;
    let quick = HttpServer::scripted([Reply::status(200)]).await;
    let dispatcher = Dispatcher::start(&store);
    let mut patient = webhook(&hanging);
    patient["timeout_s"] = 60.into();
    for _ in 0..40 {
        ended(&store, with_written([patient.clone()], &json!({}))).await;
    }
    let at_once = hanging.wait_for(8).await.len();
    let run = ended_for(&store, &quick).await;
    delivered(&store, run).await;
    assert_eq!((at_once, hanging.requests().len()), (8, 8), "no more than its share");
    dispatcher.stop.now.cancel();
    dispatcher.stop();
    dispatcher.ended().await;
}

async fn two_processes_keep_the_order_of_each_run(store: TestStore) {
    let server = HttpServer::start(|number, _| match number % 3 {
        0 => Reply::status(503),
        _ => Reply::status(200),
    })
    .await;
    let replica = match &store.database {
        Some(database) => Some(TestStore::replica(&database.settings()).await),
        None => None,
    };
    let _one = Dispatcher::start(&store);
    let _other = Dispatcher::start(replica.as_ref().unwrap_or(&store));
    let mut runs = Vec::new();
    for _ in 0..12 {
        store.submit_one(with_written([webhook(&server)], &json!({}))).await;
        let claimed = store.claim_one().await;
        for place in 0..4 {
            store.write(Record { progress: None, ..part(&claimed, [place]) }).await;
        }
        store.write(end(&claimed, failed())).await;
        runs.push(claimed.lease.run);
    }
    for run in &runs {
        delivered(&store, *run).await;
    }
    let mut arrived: HashMap<RunId, Vec<u32>> = HashMap::new();
    let (mut ids, mut answered) = (HashSet::new(), 0);
    for (number, request) in server.requests().iter().enumerate() {
        if number % 3 != 0 {
            answered += 1;
            let id: MessageId = id(request).parse().unwrap();
            assert!(ids.insert(id), "{id} arrived twice");
            arrived.entry(id.run).or_default().push(id.event);
        }
    }
    assert_eq!(answered, 12 * 5);
    for run in runs {
        assert_eq!(arrived[&run], [3, 4, 5, 6, 7], "{run}");
    }
}

async fn what_is_due_is_delivered_before_a_process_ends(store: TestStore) {
    let server = HttpServer::scripted([Reply::status(200)]).await;
    let dispatcher = Dispatcher::start(&store);
    dispatcher.stop.soon.cancel();
    let runs = [ended_for(&store, &server).await, ended_for(&store, &server).await];
    dispatcher.is_over.cancel();
    dispatcher.ended().await;
    for run in runs {
        let messages = store.all_messages(run).await;
        assert!(messages.iter().all(|message| message.state == MessageState::Delivered), "{messages:#?}");
    }
    assert_eq!(server.requests().len(), 4);
}

async fn a_message_written_during_the_last_look_is_delivered_before_a_process_ends(store: TestStore) {
    let server = HttpServer::scripted([Reply::status(200)]).await;
    let faulty = Faulty::<dyn Outbox>::before(store.store.clone());
    let gate = faulty.hold("next_message");
    let dispatcher = Dispatcher::over(faulty.clone(), &store.hints, Means::default());
    // The look has found nothing to claim, and has not ended.
    until(async || faulty.calls("next_message") == 1).await;
    let run = ended_for(&store, &server).await;
    dispatcher.stop();
    gate.add_permits(100);
    dispatcher.ended().await;
    let messages = store.all_messages(run).await;
    assert!(messages.iter().all(|message| message.state == MessageState::Delivered), "{messages:#?}");
}

async fn a_message_that_outlasts_the_grace_is_given_back(store: TestStore) {
    let server = HttpServer::start(|number, _| match number {
        0 => Reply::hanging(),
        _ => Reply::status(200),
    })
    .await;
    let settings = DispatchSettings { grace: Duration::from_millis(100), ..Means::default().settings };
    let dispatcher = Dispatcher::with(&store, Means { settings, ..Means::default() });
    let run = ended_for(&store, &server).await;
    server.wait_for(1).await;
    dispatcher.stop();
    dispatcher.ended().await;
    let message = &store.all_messages(run).await[0];
    assert_eq!((message.state, message.tries), (MessageState::Pending, 0));
    assert_eq!(message.next_try_at, None, "due at once");
    let _next = Dispatcher::start(&store);
    delivered(&store, run).await;
    let ids: Vec<_> = server.requests().iter().map(id).collect();
    assert_eq!(ids[0], ids[1], "as the receiver can tell");
}

async fn an_outage_of_storage_loses_nothing(store: TestStore) {
    let server = HttpServer::scripted([Reply::status(200)]).await;
    let faulty = Faulty::<dyn Outbox>::before(store.store.clone());
    faulty.take_away(&["claim_messages", "next_message"]);
    let _dispatcher = Dispatcher::over(faulty.clone(), &store.hints, Means::default());
    let run = ended_for(&store, &server).await;
    until(async || faulty.calls("claim_messages") >= 3).await;
    // The outcome of the first attempt is written, and its answer is lost; that of the second cannot be for a while.
    let mut settled = 0;
    faulty.fail(move |call, moment| {
        settled += usize::from(call.name == "settle_message" && moment == Moment::Before);
        let fails = match settled {
            1 => moment == Moment::After,
            2..=4 => moment == Moment::Before,
            _ => false,
        };
        (call.name == "settle_message" && fails).then(away)
    });
    delivered(&store, run).await;
    assert_eq!(server.requests().len(), 2, "each was sent once");
}

#[tokio::test]
async fn a_signature_can_be_verified() {
    let store = TestStore::memory().await;
    let server = HttpServer::scripted([Reply::status(500), Reply::status(200)]).await;
    let rules = CredentialRules { variables: ["SIGNING".to_owned()].into(), ..CredentialRules::default() };
    let variables = BTreeMap::from([("SIGNING".to_owned(), Secret::new("whsec_c2lnbmVkIGJ5IHVz"))]);
    let means = Means { credentials: Credentials::new(rules, variables, None), ..Means::default() };
    let _dispatcher = Dispatcher::with(&store, means);
    let refs = json!({"signing": {"kind": "env", "name": "SIGNING"}});
    let mut by_variable = webhook(&server);
    by_variable["signing_secret"] = json!({"from_env": "SIGNING"});
    let mut by_reference = webhook(&server);
    by_reference["signingSecret"] = json!({"credentialRef": "signing"});
    let run = ended(&store, with_written([by_variable, by_reference], &refs)).await;
    delivered(&store, run).await;
    let requests = server.requests();
    assert_eq!(requests.len(), 5);
    for request in requests {
        let header = |name: &str| request.header(name).unwrap();
        let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(b"signed by us").unwrap();
        mac.update(format!("{}.{}.", header("webhook-id"), header("webhook-timestamp")).as_bytes());
        mac.update(&request.body);
        let signature = header("webhook-signature").strip_prefix("v1,").unwrap();
        mac.verify_slice(&STANDARD.decode(signature).unwrap()).unwrap();
    }
}

#[tokio::test]
async fn headers_come_from_everywhere_and_ours_stay() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("token"), "of a file\n").unwrap();
    let rules = CredentialRules {
        variables: ["ONE".to_owned(), "UNSET".to_owned()].into(),
        directory: Some(folder.path().to_owned()),
        ..CredentialRules::default()
    };
    let variables = BTreeMap::from([("ONE".to_owned(), Secret::new("of a variable"))]);
    let credentials = Credentials::new(rules, variables, None);
    let store = TestStore::memory().await;
    let server =
        HttpServer::start(|_, request| Reply::text(200, request.header("x-a").unwrap_or_default())).await;
    let _dispatcher = Dispatcher::with(&store, Means { credentials, ..Means::default() });
    let mut sink = webhook(&server);
    sink["headers"] = json!({"X-A": "plain", "X-B": {"from_env": "ONE"}, "Webhook-Id": "mine",
        "X-C": {"credential_ref": "file", "prefix": "Bearer "}, "webhook-signature": "v1,mine"});
    sink["headers_from_env"] = json!({"X-D": "ONE"});
    sink["auth"] = json!({"kind": "headers", "headers": {"X-E": {"from_env": "ONE"}}});
    let refs = json!({"file": {"kind": "file", "path": "token"}});
    let run = ended(&store, with_written([sink.clone()], &refs)).await;
    delivered(&store, run).await;
    let request = &server.requests()[0];
    let sent = ["x-a", "x-b", "x-c", "x-d", "x-e"].map(|name| request.header(name).unwrap());
    assert_eq!(sent, ["plain", "of a variable", "Bearer of a file", "of a variable", "of a variable"]);
    assert_eq!(request.header("webhook-id"), Some(&*format!("{run}-3-0")));
    assert_eq!(request.header("webhook-signature"), None);
    // What cannot be had here is no reason to send without it; another process may have it.
    for (variable, why) in [("UNSET", "`UNSET` is not set"), ("HOME", "AGENTEVALS_CREDENTIAL_ENV")] {
        sink["headers_from_env"] = json!({"X-D": variable});
        let run = ended(&store, with_written([sink.clone()], &refs)).await;
        failing(&store, run, 0, why).await;
    }
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn fault_15_no_secret_is_stored_of_what_a_receiver_repeats() {
    let store = TestStore::postgres().await;
    let echo = |_, request: &Request| {
        Reply::text(400, format!("{} {}", request.target, request.header("authorization").unwrap()))
    };
    let server = HttpServer::start(echo).await;
    let rules = CredentialRules { variables: ["KEY".to_owned()].into(), ..CredentialRules::default() };
    let variables = BTreeMap::from([("KEY".to_owned(), Secret::new("Bearer hunter2"))]);
    let means = Means { credentials: Credentials::new(rules, variables, None), ..Means::default() };
    let _dispatcher = Dispatcher::with(&store, means);
    let mut sink = json!({"kind": "http_webhook", "url": server.url("/")});
    sink["headers"] = json!({"Authorization": {"from_env": "KEY"}});
    let run = ended(&store, with_written([sink], &json!({}))).await;
    settled(&store, run).await;
    let client = store.database.as_ref().unwrap().client().await;
    for table in ["run", "run_spec", "run_queue", "result", "run_event", "run_sink", "delivery"] {
        let rows = client.query(&format!("SELECT t::text FROM agentevals.{table} AS t"), &[]).await.unwrap();
        for row in rows {
            assert!(!row.get::<_, String>(0).contains("hunter2"), "{table}");
        }
    }
}

#[tokio::test]
async fn fault_13_addresses_that_are_not_public_are_not_called() {
    let store = TestStore::memory().await;
    let server = HttpServer::scripted([Reply::status(200)]).await;
    let _dispatcher = Dispatcher::with(&store, Means { outbound: "", ..Means::default() });
    let named = format!("http://localhost:{}/", server.address().port());
    let sinks = [named, server.url("/")].map(|url| json!({"kind": "http_webhook", "url": url}));
    let run = ended(&store, with_written(sinks, &json!({}))).await;
    for sink in [0, 1] {
        failing(&store, run, sink, "AGENTEVALS_OUTBOUND_ALLOW").await;
    }
    assert_eq!(server.requests(), []);
}

#[tokio::test]
async fn an_answer_counts_whatever_comes_after_its_status() {
    let store = TestStore::memory().await;
    let server = HttpServer::scripted([Reply::endless()]).await;
    let _dispatcher = Dispatcher::start(&store);
    let run = ended_for(&store, &server).await;
    delivered(&store, run).await;
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn a_failure_counts_whatever_comes_after_its_status() {
    let store = TestStore::memory().await;
    let page = Reply::text(503, vec![b'x'; 1 << 20]).header("Retry-After", "0");
    let server = HttpServer::scripted([page, Reply::endless().with_status(502), Reply::status(204)]).await;
    let _dispatcher = Dispatcher::start(&store);
    let run = ended_for(&store, &server).await;
    delivered(&store, run).await;
    assert_eq!(store.all_messages(run).await[0].tries, 3);
}

/// The members of the reference's lines (recordings 183 and 187).
#[tokio::test]
async fn files_and_standard_output_get_a_line_for_each_result_and_for_the_end() {
    let (store, folder) = (TestStore::postgres().await, TempDir::new().unwrap());
    let (stdout, files) = (Arc::default(), Some(folder.path().to_owned()));
    let _dispatcher =
        Dispatcher::with(&store, Means { files, stdout: Arc::clone(&stdout), ..Means::default() });
    let absolute = folder.path().join("out.ndjson");
    let sinks = [
        json!({"kind": "stdout"}),
        json!({"kind": "file", "path": "out.ndjson"}),
        json!({"kind": "file", "path": absolute}),
    ];
    store.submit_one(with_written(sinks.clone(), &json!({}))).await;
    let claimed = store.claim_one().await;
    store.write(Record { ending: Some(succeeded()), ..part(&claimed, [0, 1]) }).await;
    let run = claimed.lease.run;
    delivered(&store, run).await;
    let cancelled = store.submit_one(with_written(sinks, &json!({}))).await;
    store.cancel(cancelled).await.unwrap();
    delivered(&store, cancelled).await;
    let lines =
        |text: &str| -> Vec<Value> { text.lines().map(|line| serde_json::from_str(line).unwrap()).collect() };
    let written = fs::read_to_string(&absolute).unwrap();
    let printed = String::from_utf8(stdout.lock().unwrap().clone()).unwrap();
    assert!(printed.ends_with("}\n") && written.ends_with("}\n"));
    let printed = lines(&printed);
    assert_eq!(printed.len(), 4);
    let sorted = |mut lines: Vec<Value>| {
        lines.sort_by_key(Value::to_string);
        lines
    };
    assert_eq!(sorted(lines(&written)), sorted([&*printed, &*printed].concat()), "both sinks lead there");
    for (line, place) in printed[..2].iter().zip(0..) {
        assert_eq!(members(line), ["phase", "result", "run_id"]);
        assert_eq!((&line["phase"], &line["run_id"]), (&json!("partial"), &json!(run.to_string())));
        let recorded = [
            "createdAt",
            "details",
            "errorText",
            "evalSetItemId",
            "evalSetItemName",
            "evaluatorName",
            "evaluatorType",
            "latencyMs",
            "perInvocationScores",
            "resultId",
            "runId",
            "score",
            "spanId",
            "status",
            "tokensUsed",
            "traceId",
        ];
        let ours = members(&line["result"]);
        assert!(recorded.iter().all(|name| ours.contains(name)), "{ours:?}");
        assert_eq!(line["result"]["evalSetItemId"], format!("item {place}"));
    }
    assert_eq!(members(&printed[2]), ["phase", "run_id", "summary", "verdict"]);
    let recorded = ["agents", "errors", "per_metric", "performance_metrics", "result_counts", "trace_count"];
    assert_eq!(members(&printed[2]["summary"]), recorded);
    let error = json!({"phase": "error", "run_id": cancelled.to_string(), "error": "the run was cancelled",
        "code": "cancelled"});
    assert_eq!(printed[3], error);
}

fn members(value: &Value) -> Vec<&str> {
    let mut names: Vec<_> = value.as_object().unwrap().keys().map(String::as_str).collect();
    names.sort_unstable();
    names
}

#[tokio::test]
async fn a_file_that_cannot_be_written_is_tried_again_and_one_elsewhere_is_not_written() {
    let (store, folder) = (TestStore::memory().await, TempDir::new().unwrap());
    let means = Means { files: Some(folder.path().to_owned()), ..Means::default() };
    let _dispatcher = Dispatcher::with(&store, means);
    let sinks = ["not/there.ndjson", "../out.ndjson"].map(|path| json!({"kind": "file", "path": path}));
    let run = ended(&store, with_written(sinks, &json!({}))).await;
    until(async || store.all_messages(run).await.iter().any(|message| message.tries > 1)).await;
    fs::create_dir(folder.path().join("not")).unwrap();
    until(async || {
        let messages = store.all_messages(run).await;
        let mut of_first = messages.iter().filter(|message| message.id.sink == 0);
        of_first.all(|message| message.state == MessageState::Delivered)
    })
    .await;
    failing(&store, run, 1, "is no file below").await;
    let written = fs::read_to_string(folder.path().join("not/there.ndjson")).unwrap();
    assert_eq!(written.lines().count(), 2);
    assert!(!folder.path().parent().unwrap().join("out.ndjson").exists());
}

#[tokio::test]
async fn messages_written_to_one_file_by_many_do_not_mix() {
    let (store, folder) = (TestStore::postgres().await, TempDir::new().unwrap());
    let means = || Means { files: Some(folder.path().to_owned()), ..Means::default() };
    let replica = TestStore::replica(&store.settings()).await;
    let (_one, _other) = (Dispatcher::with(&store, means()), Dispatcher::with(&replica, means()));
    let runs: Vec<_> =
        (0..30).map(|_| with_written([json!({"kind": "file", "path": "all.ndjson"})], &json!({}))).collect();
    store.submit(&runs).await.unwrap();
    let claimed = store.claim("worker", 30, Duration::from_secs(60)).await.unwrap();
    let record = |claimed| Record { ending: Some(failed()), ..part(claimed, 0..50) };
    store.write_all(claimed.iter().map(record)).await;
    for run in &runs {
        delivered(&store, run.id).await;
    }
    let written = fs::read_to_string(folder.path().join("all.ndjson")).unwrap();
    let mut last: Option<String> = None;
    let mut blocks = 0;
    for line in written.lines() {
        let line: Value = serde_json::from_str(line).expect("a whole line");
        let block = format!("{} {}", line["run_id"], line["phase"]);
        blocks += usize::from(last.as_ref() != Some(&block));
        last = Some(block);
    }
    assert_eq!((blocks, written.lines().count()), (60, 30 * 51), "messages are written whole");
}
