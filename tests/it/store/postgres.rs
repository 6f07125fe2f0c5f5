//! What is PostgreSQL's own: constraints, plans, HOT updates, schemas, poolers.

use std::time::Duration;

use agentevals::ids::RunId;
use agentevals::queue::Record;
use agentevals::runs::{EventKind, FeedPosition, Hint, RunFilter, RunStatus};
use agentevals::spec::Submission;
use agentevals::storage::postgres::{Migrator, Schema, queries};
use tokio_postgres::Client;

use crate::support::postgres::TestDb;
use crate::support::runs::{LEASE, TestStore, end, failed, failure, hinted, new_run, part, succeeded, until};
use crate::support::sinks::{DELIVERED, dead, with_sinks};

async fn client(store: &TestStore) -> Client {
    store.database.as_ref().unwrap().client().await
}

#[tokio::test]
async fn constraints_hold_the_state_machine() {
    let store = TestStore::postgres().await;
    let client = client(&store).await;
    let runs = store.submit_many(3).await;
    let claimed = store.claim("worker", 2, LEASE).await.unwrap();
    store.write(end(&claimed[0], failed())).await;
    let [failed, running, queued] = runs[..] else { panic!() };
    let refused = [
        (failed, "run", "outcome = 'done', error_code = NULL", "run_outcome_is_known"),
        (failed, "run", "outcome = NULL, attempt = NULL, error_code = NULL", "run_finished_with_outcome"),
        (failed, "run", "finished_at = NULL", "run_finished_with_outcome"),
        (failed, "run", "attempt = NULL", "run_attempt_with_outcome"),
        (failed, "run", "outcome = 'succeeded', error_code = NULL", "run_succeeded_with_verdict"),
        (failed, "run", "verdict = 'passed'", "run_succeeded_with_verdict"),
        (failed, "run", "error_code = NULL", "run_failed_with_error"),
        (failed, "run", "outcome = 'cancelled'", "run_failed_with_error"),
        (failed, "run", "outcome = 'succeeded', error_code = NULL, verdict = 'good'", "run_verdict_is_known"),
        (queued, "run", "verdict = 'passed'", "run_succeeded_with_verdict"),
        (queued, "run", "finished_at = now()", "run_finished_with_outcome"),
        (queued, "run", "error_code = 'x'", "run_failed_with_error"),
        (queued, "run", "priority = 101", "run_priority_in_range"),
        (queued, "run", "deadline_s = 0", "run_deadline_is_positive"),
        (queued, "run", "max_attempts = 0", "run_max_attempts_is_positive"),
        (queued, "run_queue", "cancel_requested = true", "run_queue_cancel_needs_lease"),
        (queued, "run_queue", "lease_id = gen_random_uuid()", "run_queue_lease_has_holder"),
        (queued, "run_queue", "worker = 'w'", "run_queue_lease_has_holder"),
        (queued, "run_queue", "worker = 'w', lease_id = gen_random_uuid()", "run_queue_leased_was_started"),
        (running, "run_queue", "worker = NULL", "run_queue_lease_has_holder"),
        (running, "run_queue", "started_at = NULL", "run_queue_leased_was_started"),
        (failed, "run_event", "kind = 'run.lost'", "run_event_kind_is_known"),
    ];
    for (run, table, change, constraint) in refused {
        let sql = format!("UPDATE agentevals.{table} SET {change} WHERE run_id = $1");
        let error = client.execute(&sql, &[&run.0]).await.expect_err(change);
        assert_eq!(error.as_db_error().unwrap().constraint(), Some(constraint), "{change}");
    }
    let twice =
        "INSERT INTO agentevals.run_queue (rank, run_id, max_attempts, event_seq) VALUES (0, $1, 1, 1)";
    let error = client.execute(twice, &[&queued.0]).await.unwrap_err();
    assert_eq!(error.as_db_error().unwrap().constraint(), Some("run_queue_run_id"));
}

#[tokio::test]
async fn claims_heartbeats_and_retries_are_hot_updates() {
    let store = TestStore::postgres().await;
    let client = client(&store).await;
    store.submit_many(300).await;
    for _ in 0..60 {
        let claimed = store.claim("worker", 10, LEASE).await.unwrap();
        assert_eq!(claimed.len(), 10);
        let leases: Vec<_> = claimed.iter().map(|claimed| claimed.lease).collect();
        store.heartbeat(&leases, LEASE).await.unwrap();
        let parts: Vec<_> = claimed.iter().map(|claimed| part(claimed, [0])).collect();
        store.write_all(parts).await;
        store.release(&leases[..5]).await.unwrap();
        for lease in &leases[5..] {
            assert!(store.requeue(*lease, &failure(), Duration::ZERO).await.unwrap());
        }
    }
    let counts = async || {
        client.batch_execute("SELECT pg_stat_clear_snapshot()").await.unwrap();
        let sql = "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'run_queue'";
        let row = client.query_one(sql, &[]).await.unwrap();
        (row.get::<_, i64>(0), row.get::<_, i64>(1))
    };
    // Claim, heartbeat, part, end; sessions report when they have nothing else to do.
    until(async || {
        store.check().await.unwrap();
        counts().await.0 >= 2000
    })
    .await;
    let (updates, hot) = counts().await;
    // All of them by themselves; beside other tests, what holds old snapshots, such as ANALYZE, delays the pruning. An
    // index on what changes would leave none.
    assert!(hot * 10 >= updates * 6, "{hot} of {updates}");
}

#[tokio::test]
async fn a_claim_goes_through_the_queue_in_order_and_stops() {
    let store = TestStore::postgres().await;
    let client = client(&store).await;
    let fill = "INSERT INTO agentevals.run_queue (rank, run_id, max_attempts, event_seq)
        SELECT i % 7, gen_random_uuid(), 3, 1 FROM generate_series(1, 20000) AS i";
    client.batch_execute(fill).await.unwrap();
    client.batch_execute("ANALYZE agentevals.run_queue; ANALYZE agentevals.run").await.unwrap();
    let claim = queries().into_iter().find(|query| query.name == "queue/claim").unwrap();
    let sql = claim.render(&Schema::default());
    client.batch_execute(&format!("PREPARE claim (text, int8, int8) AS {sql}")).await.unwrap();
    // From the sixth time on, the server may settle for a plan that suits any limit.
    for _ in 0..10 {
        let rows = client.query("EXPLAIN (ANALYZE) EXECUTE claim ('w', 10, 30000)", &[]).await.unwrap();
        let plan: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
        let plan = plan.join("\n");
        assert!(plan.contains("Index Scan using run_queue_pkey on run_queue"), "{plan}");
        assert!(!plan.contains("Seq Scan on run_queue"), "{plan}");
        // Nothing is sorted but the few that were claimed, for their order.
        let due = plan.split("CTE due").nth(1).unwrap().split("CTE claimed").next().unwrap();
        assert!(!due.contains("Sort"), "{plan}");
    }
}

#[tokio::test]
async fn constraints_hold_the_states_of_messages() {
    let store = TestStore::postgres().await;
    let client = client(&store).await;
    store.submit_one(with_sinks(1)).await;
    let claimed = store.claim_one().await;
    store.write(end(&claimed, failed())).await;
    let refused = [
        ("delivery", "state = 'lost', settled_at = now()", "delivery_state_is_known"),
        ("delivery", "state = 'dead'", "delivery_settled_unless_pending"),
        ("delivery", "settled_at = now()", "delivery_settled_unless_pending"),
        (
            "delivery",
            "state = 'dead', settled_at = now(), lease_id = gen_random_uuid()",
            "delivery_claimed_while_pending",
        ),
        ("delivery", "phase = 'begin'", "delivery_phase_is_known"),
        ("delivery", "attempts = -1", "delivery_attempts_not_negative"),
        ("run_sink", "kind = 'pager'", "run_sink_kind_is_known"),
        ("run_sink", "timeout_ms = 0", "run_sink_timeout_is_positive"),
    ];
    for (table, change, constraint) in refused {
        let error =
            client.execute(&format!("UPDATE agentevals.{table} SET {change}"), &[]).await.expect_err(change);
        assert_eq!(error.as_db_error().unwrap().constraint(), Some(constraint), "{change}");
    }
}

/// However many messages wait for receivers that are away, and however long their lines are.
#[tokio::test]
async fn a_claim_of_messages_looks_only_at_what_is_due() {
    let store = TestStore::postgres().await;
    let client = client(&store).await;
    let fill = "INSERT INTO agentevals.run_sink (run_id, sink, kind, destination, timeout_ms, document)
            SELECT md5(i::text)::uuid, 0, 'http_webhook', 'https://h' || i % 50, 1000, '{}'
            FROM generate_series(1, 2000) AS i;
        INSERT INTO agentevals.delivery (run_id, sink, event, phase, payload, due_at)
            SELECT md5((i % 2000)::text)::uuid, 0, i, 'partial', '{}', now() + i % 2000 * interval '1 s'
            FROM generate_series(1, 20000) AS i;
        UPDATE agentevals.delivery SET due_at = '-infinity' WHERE event % 2000 >= 1800;
        UPDATE agentevals.delivery SET state = 'delivered', settled_at = now() WHERE event % 2000 < 100;
        ANALYZE agentevals.run_sink; ANALYZE agentevals.delivery";
    client.batch_execute(fill).await.unwrap();
    let rendered = |name: &str| {
        let query = queries().into_iter().find(|query| query.name == name).unwrap();
        query.render(&Schema::default()).into_owned()
    };
    let prepare = format!("PREPARE claim (int8, int8, text[], int8[], int8) AS {}", rendered("outbox/claim"));
    client.batch_execute(&prepare).await.unwrap();
    let explained = async |sql: &str| {
        let rows = client.query(&format!("EXPLAIN (ANALYZE) {sql}"), &[]).await.unwrap();
        rows.iter().map(|row| row.get::<_, String>(0)).collect::<Vec<_>>().join("\n")
    };
    // From the sixth time on, the server may settle for a plan that suits any values.
    for _ in 0..10 {
        let plan = explained("EXECUTE claim (32, 30000, ARRAY['https://h1'], ARRAY[0], 8)").await;
        let due = plan.split("CTE due").nth(1).unwrap().split("CTE ").next().unwrap();
        assert!(due.contains("delivery_due") && !due.contains("Seq Scan on delivery"), "{plan}");
    }
    let plan = explained(&rendered("outbox/next")).await;
    assert!(plan.contains("using delivery_due on delivery"), "{plan}");
}

/// The whole way of a run.
async fn end_to_end(store: &TestStore) {
    let mut hints = store.hints.subscribe();
    let run = store.submit_one(Submission { idempotency_key: Some("k".to_owned()), ..with_sinks(1) }).await;
    hinted(&mut hints, |hint| matches!(hint, Hint::Due(_))).await;
    let claimed = store.claim_one().await;
    store.heartbeat(&[claimed.lease], LEASE).await.unwrap();
    store.cancel(run).await.unwrap();
    hinted(&mut hints, |hint| *hint == Hint::Cancel(run)).await;
    store.write(Record { ending: Some(failed()), ..part(&claimed, [0, 1]) }).await;
    store.retry(run).await.unwrap();
    let claimed = store.claim_one().await;
    store.release(&[claimed.lease]).await.unwrap();
    let claimed = store.claim_one().await;
    store.requeue(claimed.lease, &failure(), Duration::ZERO).await.unwrap();
    let lost = store.claim_and_lose().await;
    assert_eq!(store.reap().await.unwrap(), 1);
    assert!(!store.write(end(&lost, succeeded())).await);
    let claimed = store.claim_one().await;
    assert!(store.write(Record { ending: Some(succeeded()), ..part(&claimed, [5]) }).await);
    assert_eq!(store.get(run).await.status, RunStatus::Succeeded);
    assert_eq!(store.places(run).await, [5]);
    assert_eq!(store.kinds(run).await.last(), Some(&EventKind::Succeeded));
    let events = store.events_of(run).await.len();
    until(async || store.feed(FeedPosition::START, 100).await.unwrap().events.len() == events).await;
    for statuses in [vec![], vec![RunStatus::Succeeded]] {
        let filter = RunFilter { limit: 10, statuses, ..RunFilter::default() };
        assert_eq!(store.list(&filter).await.unwrap().len(), 1);
    }
    store.feed_end().await.unwrap();
    hinted(&mut hints, |hint| *hint == Hint::Messages).await;
    let message = store.claim_message().await;
    assert!(store.next_message().await.unwrap().is_some());
    store.settled(&message, &dead()).await;
    assert_eq!(store.redeliver(run, Some(&[message.lease.message])).await.unwrap().len(), 1);
    store.settled(&store.claim_message().await, &DELIVERED).await;
    store.check().await.unwrap();
}

#[tokio::test]
async fn any_schema_will_do_and_schemas_do_not_hear_each_other() {
    let database = TestDb::empty().await;
    let mut stores = Vec::new();
    for schema in ["agentevals", "user"] {
        let mut settings = database.settings();
        settings.schema = schema.parse().unwrap();
        Migrator::connect(&settings).await.unwrap().up().await.unwrap();
        stores.push(TestStore::replica(&settings).await);
    }
    let mut others = stores[0].hints.subscribe();
    end_to_end(&stores[1]).await;
    // The only hints that the one hears are its own.
    let run = stores[0].submit_one(new_run()).await;
    assert_eq!(others.next().await, Hint::Due(Duration::ZERO));
    assert!(matches!(others.next().await, Hint::Events(runs) if runs.iter().eq([&run])));
    assert_eq!(stores[0].list(&RunFilter { limit: 10, ..RunFilter::default() }).await.unwrap().len(), 1);
}

#[tokio::test]
async fn nothing_needs_to_be_prepared() {
    let database = TestDb::new().await;
    let mut settings = database.settings();
    settings.session_dsn = Some(settings.dsn.clone());
    end_to_end(&TestStore::replica(&settings).await).await;
}

/// A transaction that is still open may add events before those that are already there.
#[tokio::test]
async fn the_feed_withholds_what_an_open_transaction_could_come_before() {
    let store = TestStore::postgres().await;
    let mut client = client(&store).await;
    let transaction = client.transaction().await.unwrap();
    let early = RunId::new_v7();
    let insert =
        "INSERT INTO agentevals.run_event (run_id, seq, kind, data) VALUES ($1, 1, 'run.queued', '{}')";
    let row = "INSERT INTO agentevals.run (run_id, priority, deadline_s, max_attempts, target_kind)
        VALUES ($1, 0, 1, 1, 'inline')";
    transaction.execute(row, &[&early.0]).await.unwrap();
    transaction.execute(insert, &[&early.0]).await.unwrap();
    let late = store.submit_one(new_run()).await;
    let page = store.feed(FeedPosition::START, 10).await.unwrap();
    assert!(page.events.is_empty() && page.has_more);
    let end = store.feed_end().await.unwrap();
    transaction.commit().await.unwrap();
    until(async || store.feed(end, 10).await.unwrap().events.len() == 2).await;
    let events = store.feed(FeedPosition::START, 10).await.unwrap().events;
    assert_eq!(events.iter().map(|event| event.event.run).collect::<Vec<_>>(), [early, late]);
}

#[tokio::test]
async fn events_restored_into_a_new_cluster_do_not_hold_the_feed_back() {
    let store = TestStore::postgres().await;
    let restored = store.submit_one(new_run()).await;
    let far = "UPDATE agentevals.run_event SET transaction = '99999999999'";
    client(&store).await.execute(far, &[]).await.unwrap();
    assert!(store.feed(FeedPosition::START, 10).await.unwrap().events.is_empty());
    let started = TestStore::replica(&store.settings()).await;
    let new = started.submit_one(new_run()).await;
    // Transactions of other tests may hold it back for a moment.
    until(async || started.feed(FeedPosition::START, 10).await.unwrap().events.len() == 2).await;
    let events = started.feed(FeedPosition::START, 10).await.unwrap().events;
    assert_eq!(events.iter().map(|event| event.event.run).collect::<Vec<_>>(), [restored, new]);
}
