//! Connections: how they are opened, what becomes of them, and what arrives over them.

use std::time::{Duration, Instant};

use agentevals::storage::postgres::{
    Database, DatabaseError, DatabaseSettings, Listener, Notice, ParameterList, Query,
};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_postgres::types::Type;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::support::cluster::{Cluster, Stop};
use crate::support::postgres::{TestDb, client, settings};
use crate::support::proxy::Proxy;

/// Against hanging; nothing here takes that long.
const PATIENCE: Duration = Duration::from_secs(60);

static SLEEP: Query =
    Query { name: "sleep", sql: "SELECT pg_sleep($1)", lists: &[&ParameterList::unnamed(&[Type::FLOAT8])] };
static ONE: Query = Query { name: "one", sql: "SELECT 1", lists: &[] };
static INSERT: Query = Query {
    name: "insert",
    sql: "INSERT INTO thing VALUES ($1)",
    lists: &[&ParameterList::unnamed(&[Type::INT4])],
};
static SELECT: Query = Query { name: "select", sql: "SELECT * FROM thing", lists: &[] };
static PREPARED: Query =
    Query { name: "prepared", sql: "SELECT count(*) FROM pg_prepared_statements", lists: &[] };

async fn connect(url: &str) -> Database {
    Database::connect(&settings(url)).await.unwrap()
}

#[tokio::test]
async fn statements_answer_with_rows_or_with_how_many_they_changed() {
    let test = TestDb::empty().await;
    test.client()
        .await
        .batch_execute("CREATE TABLE thing (id int CONSTRAINT thing_id UNIQUE)")
        .await
        .unwrap();
    let database = connect(&test.url()).await;
    assert_eq!(database.execute(&INSERT, &[&7]).await.unwrap(), 1);
    let rows = database.query(&SELECT, &[]).await.unwrap();
    assert_eq!(rows.iter().map(|row| row.get::<_, i32>(0)).collect::<Vec<_>>(), [7]);
    let error = database.execute(&INSERT, &[&7]).await.unwrap_err();
    assert!(matches!(&error, DatabaseError::Conflict { constraint } if constraint == "thing_id"), "{error}");
}

#[tokio::test]
async fn a_fault_of_a_statement_names_it_and_is_not_worth_a_retry() {
    let test = TestDb::empty().await;
    let database = connect(&test.url()).await;
    let error = database.query(&SELECT, &[]).await.unwrap_err();
    assert!(!error.is_transient());
    let text = format!("{:#}", anyhow::Error::from(error));
    assert_eq!(text, r#"statement `select`: relation "thing" does not exist (SQLSTATE 42P01)"#);
}

#[tokio::test]
async fn a_statement_outlives_a_change_of_its_table() {
    let test = TestDb::empty().await;
    let admin = test.client().await;
    admin.batch_execute("CREATE TABLE thing (id int)").await.unwrap();
    let mut settings = test.settings();
    (settings.pool.min, settings.pool.max) = (1, 1);
    let database = Database::connect(&settings).await.unwrap();
    database.query(&SELECT, &[]).await.unwrap();
    admin.batch_execute("ALTER TABLE thing ADD name text").await.unwrap();
    database.query(&SELECT, &[]).await.unwrap();
}

#[tokio::test]
async fn behind_a_pooler_nothing_is_prepared() {
    let test = TestDb::empty().await;
    let mut settings = test.settings();
    (settings.pool.min, settings.pool.max) = (1, 1);
    let prepared = async |settings: &DatabaseSettings| {
        let database = Database::connect(settings).await.unwrap();
        database.query(&ONE, &[]).await.unwrap();
        database.query(&PREPARED, &[]).await.unwrap()[0].get::<_, i64>(0)
    };
    assert_eq!(prepared(&settings).await, 2);
    settings.session_dsn = Some(settings.dsn.clone());
    assert_eq!(prepared(&settings).await, 0);
}

#[tokio::test]
async fn a_statement_that_takes_too_long_is_stopped_and_its_connection_dropped() {
    let test = TestDb::empty().await;
    let mut settings = test.settings();
    settings.command_timeout = Duration::from_millis(200);
    (settings.pool.min, settings.pool.max) = (1, 1);
    let database = Database::connect(&settings).await.unwrap();
    let error = database.query(&SLEEP, &[&600.0]).await.unwrap_err();
    assert!(error.is_transient() && error.to_string().contains("within 200ms"), "{error}");
    database.query(&ONE, &[]).await.unwrap();
    let sleeping =
        "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'";
    let admin = test.client().await;
    timeout(PATIENCE, async { while !admin.query(sleeping, &[]).await.unwrap().is_empty() {} })
        .await
        .unwrap();
}

#[tokio::test]
async fn what_waiting_does_not_mend_fails_at_once() {
    let cluster = Cluster::start();
    let admin = client(&cluster.url("postgres")).await;
    admin.batch_execute("CREATE ROLE locked LOGIN PASSWORD 'right'").await.unwrap();
    let locked = |password: &str| cluster.url("postgres").replace("tester@", &format!("locked:{password}@"));
    for (url, expected) in [(locked("wrong"), "28P01"), (cluster.url("missing"), "3D000")] {
        let started = Instant::now();
        let error = Database::connect(&settings(&url)).await.err().unwrap();
        assert!(matches!(error, DatabaseError::Denied(_)), "{error:?}");
        assert!(error.to_string().contains(expected) && !error.to_string().contains("wrong"), "{error}");
        assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    }
    connect(&locked("right")).await;
}

#[tokio::test]
async fn a_server_that_is_down_is_waited_for_but_not_for_ever() {
    let cluster = Cluster::start();
    let url = cluster.url("postgres");
    cluster.stop(Stop::Fast).await;
    let mut hasty = settings(&url);
    hasty.connect_timeout = Duration::from_millis(700);
    let error = Database::connect(&hasty).await.err().unwrap();
    assert!(error.is_transient() && error.to_string().contains("refused"), "{error}");

    let waiting = tokio::spawn(async move { Database::connect(&settings(&url)).await.map(drop) });
    tokio::time::sleep(Duration::from_millis(700)).await; // it has tried in vain
    assert!(!waiting.is_finished());
    cluster.start_again().await;
    timeout(PATIENCE, waiting).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn the_next_server_of_a_list_takes_over() {
    let cluster = Cluster::start();
    let ports = format!("1,{}", cluster.address().port());
    let servers = format!("user=tester dbname=postgres host=127.0.0.1,127.0.0.1 port={ports}");
    connect(&servers).await.query(&ONE, &[]).await.unwrap();
    let mut hasty = settings(&format!("{servers} target_session_attrs=read-only"));
    hasty.connect_timeout = Duration::from_millis(1);
    assert!(Database::connect(&hasty).await.err().unwrap().is_transient());
}

#[tokio::test]
async fn the_pool_recovers_from_a_crash() {
    let cluster = Cluster::start();
    let mut settings = settings(&cluster.url("postgres"));
    settings.checkout_timeout = Duration::from_secs(1);
    let database = Database::connect(&settings).await.unwrap();
    database.query(&ONE, &[]).await.unwrap();
    cluster.stop(Stop::Immediate).await;
    let error = database.query(&ONE, &[]).await.unwrap_err();
    assert!(error.is_transient(), "{error}");
    cluster.start_again().await;
    let answers = async { while database.query(&ONE, &[]).await.is_err() {} };
    timeout(PATIENCE, answers).await.unwrap();
}

#[tokio::test]
async fn a_unix_socket_and_every_tls_mode_lead_to_the_server() {
    let cluster = Cluster::start();
    let admin = client(&cluster.url("postgres")).await;
    admin.batch_execute("CREATE ROLE only_tls LOGIN; CREATE ROLE only_plain LOGIN").await.unwrap();
    let certificate = cluster.certificate();
    let certificate = certificate.display();
    let at = |user: &str, host: &str, rest: &str| {
        format!("user={user} host={host} port={} dbname=postgres {rest}", cluster.address().port())
    };
    let socket = cluster.socket_folder().display().to_string();
    let granted = [
        at("tester", &socket, "sslmode=verify-full"),
        at("only_plain", "localhost", "sslmode=disable"),
        at("only_plain", "localhost", "sslmode=allow"),
        at("only_tls", "localhost", "sslmode=allow"),
        at("only_tls", "localhost", "sslmode=prefer"),
        at("only_plain", "localhost", "sslmode=prefer"),
        at("only_tls", "localhost", "sslmode=require"),
        at("only_tls", "127.0.0.1", &format!("sslmode=require sslrootcert={certificate}")),
        at("only_tls", "127.0.0.1", &format!("sslmode=verify-ca sslrootcert={certificate}")),
        at("only_tls", "localhost", &format!("sslmode=verify-full sslrootcert={certificate}")),
    ];
    for dsn in granted {
        let database = Database::connect(&settings(&dsn)).await;
        let database = database.unwrap_or_else(|error| panic!("{dsn}: {error}"));
        database.query(&ONE, &[]).await.unwrap();
    }
    let refused = [
        (at("only_tls", "localhost", "sslmode=disable"), "no encryption"),
        (at("only_plain", "localhost", "sslmode=require"), "SSL encryption"),
        (at("only_tls", "localhost", "sslmode=verify-ca"), "certificate"),
        (at("only_tls", "127.0.0.1", &format!("sslmode=verify-full sslrootcert={certificate}")), "name"),
        (
            at("only_tls", "localhost", "sslmode=verify-full sslrootcert=/nowhere.pem"),
            "`sslrootcert` /nowhere.pem",
        ),
    ];
    for (dsn, expected) in refused {
        let error = Database::connect(&settings(&dsn)).await.err().unwrap_or_else(|| panic!("{dsn}"));
        assert!(!error.is_transient(), "{dsn}: {error}");
        let text = format!("{:#}", anyhow::Error::from(error));
        assert!(text.contains(expected), "{dsn}: {text}");
    }
}

/// A listener, with what it has received.
struct Listening {
    notices: mpsc::Receiver<Notice>,
    _stop: DropGuard,
}

impl Listening {
    fn to(settings: &DatabaseSettings, room: usize) -> Self {
        let (sender, notices) = mpsc::channel(room);
        let token = CancellationToken::new();
        Listener::spawn(settings, &["runs", "events"], sender, token.clone()).unwrap();
        Self { notices, _stop: token.drop_guard() }
    }

    async fn next(&mut self) -> Notice {
        timeout(PATIENCE, self.notices.recv()).await.unwrap().unwrap()
    }
}

fn message(channel: &'static str, payload: &str) -> Notice {
    Notice::Message { channel, payload: payload.to_owned() }
}

#[tokio::test]
async fn notifications_of_our_schema_arrive_in_order() {
    let test = TestDb::empty().await;
    let mut listening = Listening::to(&test.settings(), 10);
    assert_eq!(listening.next().await, Notice::Reconnected);
    let notify =
        "NOTIFY \"other:runs\", 'x'; NOTIFY \"agentevals:runs\", '1'; NOTIFY \"agentevals:events\", '2'";
    test.client().await.batch_execute(notify).await.unwrap();
    assert_eq!(listening.next().await, message("runs", "1"));
    assert_eq!(listening.next().await, message("events", "2"));
}

#[tokio::test]
async fn a_slow_receiver_is_told_to_look_for_itself() {
    let test = TestDb::empty().await;
    let mut listening = Listening::to(&test.settings(), 2);
    assert_eq!(listening.next().await, Notice::Reconnected);
    let client = test.client().await;
    let flood = "SELECT pg_notify('agentevals:runs', i::text) FROM generate_series(1, 5000) AS i";
    client.execute(flood, &[]).await.unwrap();
    assert_eq!(listening.next().await, message("runs", "1"));
    assert_eq!(listening.next().await, message("runs", "2"));
    while listening.next().await != Notice::Reconnected {}
    let notify = async {
        loop {
            client.batch_execute("NOTIFY \"agentevals:runs\", 'last'").await.unwrap();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let receive = async { while listening.next().await != message("runs", "last") {} };
    tokio::select! {
        () = notify => {}
        () = receive => {}
    }
}

#[tokio::test]
async fn a_listener_comes_back_after_a_restart() {
    let cluster = Cluster::start();
    let url = cluster.url("postgres");
    let mut listening = Listening::to(&settings(&url), 10);
    assert_eq!(listening.next().await, Notice::Reconnected);
    for how in [Stop::Fast, Stop::Immediate] {
        cluster.stop(how).await;
        cluster.start_again().await;
        assert_eq!(listening.next().await, Notice::Reconnected);
        client(&url).await.batch_execute("NOTIFY \"agentevals:runs\", '1'").await.unwrap();
        assert_eq!(listening.next().await, message("runs", "1"));
    }
}

#[tokio::test]
async fn a_listener_notices_a_line_that_went_silent() {
    let cluster = Cluster::start();
    let proxy = Proxy::start(cluster.address()).await;
    let url = proxy.url_for(&cluster.url("postgres"));
    let mut settings = settings(&url);
    settings.ping_interval = Duration::from_millis(400);
    let mut listening = Listening::to(&settings, 10);
    assert_eq!(listening.next().await, Notice::Reconnected);
    proxy.cut().await;
    proxy.heal();
    assert_eq!(listening.next().await, Notice::Reconnected);
    let server = client(&cluster.url("postgres")).await;
    let listener = "SELECT pid FROM pg_stat_activity WHERE application_name = 'agentevals'";
    let before: i32 = server.query_one(listener, &[]).await.unwrap().get(0);
    proxy.freeze_answers();
    let is_there = "SELECT FROM pg_stat_activity WHERE pid = $1";
    let given_up = async { while !server.query(is_there, &[&before]).await.unwrap().is_empty() {} };
    timeout(PATIENCE, given_up).await.unwrap();
    proxy.heal();
    assert_eq!(listening.next().await, Notice::Reconnected);
}

#[tokio::test]
async fn a_frozen_server_costs_a_statement_its_time_limit_and_no_more() {
    let cluster = Cluster::start();
    let proxy = Proxy::start(cluster.address()).await;
    let mut settings = settings(&proxy.url_for(&cluster.url("postgres")));
    settings.command_timeout = Duration::from_millis(300);
    let database = Database::connect(&settings).await.unwrap();
    database.query(&ONE, &[]).await.unwrap();
    proxy.freeze();
    assert!(database.query(&ONE, &[]).await.unwrap_err().is_transient());
    proxy.heal();
    let answers = async { while database.query(&ONE, &[]).await.is_err() {} };
    timeout(PATIENCE, answers).await.unwrap();
}

#[tokio::test]
async fn a_listener_ends_when_it_is_told_to() {
    let test = TestDb::empty().await;
    let (sender, mut notices) = mpsc::channel(1);
    let token = CancellationToken::new();
    let task = Listener::spawn(&test.settings(), &["runs"], sender, token.clone()).unwrap();
    assert_eq!(notices.recv().await, Some(Notice::Reconnected));
    token.cancel();
    timeout(PATIENCE, task).await.unwrap().unwrap();
    assert_eq!(notices.recv().await, None);
}
