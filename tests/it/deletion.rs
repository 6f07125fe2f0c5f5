//! Runs that are deleted, by hand or because they are old. The reference keeps all runs for ever, and cannot delete one
//! (its run-pipeline fault 12).

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use agentevals::ids::RunId;
use agentevals::queue::Record;
use agentevals::runs::{
    Deletion, EventKind, FeedPosition, Hint, Retried, RunFilter, RunStatus, Submitted, keep_for,
};
use agentevals::spec::Submission;
use agentevals::storage::postgres::queries;
use futures_util::StreamExt;
use futures_util::future::{join, join_all};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::support::runs::{
    PATIENCE, TestStore, end, failed, hinted, new_run, on_both, part, run_service, succeeded, until,
};
use crate::support::sinks::{DELIVERED, with_sinks};

on_both! {
    a_finished_run_is_deleted_with_all_that_belongs_to_it,
    the_id_and_the_key_of_a_deleted_run_are_free,
    a_run_that_is_not_finished_is_not_deleted,
    deleting_and_retrying_at_the_same_time_leave_all_or_nothing,
    a_deletion_is_hinted,
    the_end_of_the_feed_does_not_go_back,
    old_runs_are_purged_oldest_first_and_in_parts,
    only_what_finished_long_enough_ago_is_purged,
    a_run_that_is_not_finished_is_never_purged,
    purges_at_the_same_time_share_the_work,
    what_is_missing_is_told,
    watchers_of_a_deleted_run_end,
    retention_deletes_what_is_old_until_it_is_ended,
}

/// A run that has finished, with results.
async fn finished(store: &TestStore) -> RunId {
    let run = store.submit_one(new_run()).await;
    finish(store).await;
    run
}

/// Finishes the run that is first in the queue.
async fn finish(store: &TestStore) {
    let claimed = store.claim_one().await;
    assert!(store.write(Record { ending: Some(succeeded()), ..part(&claimed, [0, 1]) }).await);
}

/// All runs there are.
async fn listed(store: &TestStore) -> BTreeSet<RunId> {
    let everything = RunFilter { limit: 10_000, ..RunFilter::default() };
    store.list(&everything).await.unwrap().iter().map(|run| run.id).collect()
}

async fn a_finished_run_is_deleted_with_all_that_belongs_to_it(store: TestStore) {
    let (run, other) = (finished(&store).await, finished(&store).await);
    assert_eq!(store.delete(run).await.unwrap(), Some(Deletion::Done));
    assert_eq!(store.run(run).await.unwrap(), None);
    assert_eq!(store.spec(run).await.unwrap(), None);
    assert!(store.places(run).await.is_empty());
    assert_eq!(store.events_of(run).await, []);
    assert_eq!(listed(&store).await, [other].into());
    assert_eq!(store.places(other).await, [0, 1]);
    until(async || {
        let feed = store.feed(FeedPosition::START, 100).await.unwrap().events;
        feed.len() == store.events_of(other).await.len() && feed.iter().all(|event| event.event.run == other)
    })
    .await;
    assert_eq!(store.delete(run).await.unwrap(), None);
    assert_eq!(store.retry(run).await.unwrap(), None);
    assert_eq!(store.delete(RunId::new_v7()).await.unwrap(), None);
}

async fn the_id_and_the_key_of_a_deleted_run_are_free(store: TestStore) {
    let keyed = |id| Submission { id, idempotency_key: Some("key".to_owned()), ..new_run() };
    let first = store.submit_one(keyed(RunId::new_v7())).await;
    finish(&store).await;
    store.delete(first).await.unwrap();
    for id in [first, RunId::new_v7()] {
        let submitted = store.submit(&[keyed(id)]).await.unwrap();
        assert!(matches!(&submitted[..], [Submitted::Created(run)] if run.id == id), "{submitted:?}");
        assert_eq!(store.kinds(id).await, [EventKind::Queued]);
        finish(&store).await;
        assert_eq!(store.places(id).await, [0, 1]);
        store.delete(id).await.unwrap();
    }
}

async fn a_run_that_is_not_finished_is_not_deleted(store: TestStore) {
    let refused = async |run, status| {
        assert_eq!(store.delete(run).await.unwrap(), Some(Deletion::Refused(status)));
        assert_eq!(store.get(run).await.status, status);
    };
    let run = store.submit_one(new_run()).await;
    refused(run, RunStatus::Queued).await;
    let claimed = store.claim_one().await;
    refused(run, RunStatus::Running).await;
    store.cancel(run).await.unwrap();
    refused(run, RunStatus::Running).await;
    store.write(end(&claimed, failed())).await;
    store.retry(run).await.unwrap();
    refused(run, RunStatus::Queued).await;
    store.cancel(run).await.unwrap();
    assert_eq!(store.delete(run).await.unwrap(), Some(Deletion::Done));
}

async fn deleting_and_retrying_at_the_same_time_leave_all_or_nothing(store: TestStore) {
    for _ in 0..30 {
        let run = store.submit_one(new_run()).await;
        store.cancel(run).await.unwrap();
        let (deleted, retried) = join(store.delete(run), store.retry(run)).await;
        match (deleted, retried.unwrap()) {
            (Ok(Some(Deletion::Done)), None) => assert_eq!(store.events_of(run).await, []),
            (Ok(Some(Deletion::Refused(RunStatus::Queued))), Some(Retried::Queued(_))) => {
                assert_eq!(store.kinds(run).await.len(), 3);
                store.cancel(run).await.unwrap();
                assert_eq!(store.delete(run).await.unwrap(), Some(Deletion::Done));
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(store.run(run).await.unwrap(), None);
    }
    assert!(!store.scan().await.unwrap().has_due);
}

async fn a_deletion_is_hinted(store: TestStore) {
    let run = finished(&store).await;
    let mut hints = store.hints.subscribe();
    store.delete(run).await.unwrap();
    hinted(&mut hints, |hint| matches!(hint, Hint::Events(runs) if runs.contains(&run))).await;
}

async fn the_end_of_the_feed_does_not_go_back(store: TestStore) {
    let run = finished(&store).await;
    let events = store.events_of(run).await.len();
    until(async || store.feed(FeedPosition::START, 100).await.unwrap().events.len() == events).await;
    let seen = store.feed(FeedPosition::START, 100).await.unwrap().events.last().unwrap().position;
    store.delete(run).await.unwrap();
    assert!(seen <= store.feed_end().await.unwrap());
    let next = store.submit_one(new_run()).await;
    until(async || !store.feed(seen, 100).await.unwrap().events.is_empty()).await;
    let after = store.feed(seen, 100).await.unwrap().events;
    assert_eq!(after.iter().map(|event| event.event.run).collect::<Vec<_>>(), [next]);
}

async fn old_runs_are_purged_oldest_first_and_in_parts(store: TestStore) {
    let mut runs = Vec::new();
    for _ in 0..5 {
        runs.push(finished(&store).await);
    }
    assert_eq!(store.purge(Duration::from_secs(3600), 10).await.unwrap(), 0);
    assert_eq!(store.purge(Duration::ZERO, 2).await.unwrap(), 2);
    assert_eq!(listed(&store).await, runs[2..].iter().copied().collect());
    assert_eq!(store.purge(Duration::ZERO, 10).await.unwrap(), 3);
    assert_eq!(store.purge(Duration::ZERO, 10).await.unwrap(), 0);
    for run in runs {
        assert_eq!(store.events_of(run).await, []);
        assert!(store.places(run).await.is_empty());
    }
}

async fn only_what_finished_long_enough_ago_is_purged(store: TestStore) {
    let age = Duration::from_millis(500);
    // On a machine that is too busy to tell the two apart, once more.
    loop {
        let late = store.submit_one(new_run()).await;
        let claimed = store.claim_one().await;
        let old = finished(&store).await;
        tokio::time::sleep(age + Duration::from_millis(50)).await;
        let ended = Instant::now();
        store.write(end(&claimed, succeeded())).await;
        let purged = store.purge(age, 10).await.unwrap();
        if ended.elapsed() < age {
            assert_eq!(purged, 1);
            assert_eq!(store.run(old).await.unwrap(), None);
            assert_eq!(store.get(late).await.status, RunStatus::Succeeded);
            return;
        }
    }
}

async fn a_run_that_is_not_finished_is_never_purged(store: TestStore) {
    let running = store.submit_one(new_run()).await;
    let claimed = store.claim_one().await;
    let queued = store.submit_one(new_run()).await;
    let retried = store.submit_one(new_run()).await;
    store.cancel(retried).await.unwrap();
    store.retry(retried).await.unwrap();
    assert_eq!(store.purge(Duration::ZERO, 10).await.unwrap(), 0);
    assert_eq!(listed(&store).await, [running, queued, retried].into());
    assert!(store.write(end(&claimed, succeeded())).await);
    assert_eq!(store.kinds(running).await, [EventKind::Queued, EventKind::Started, EventKind::Succeeded]);
}

async fn purges_at_the_same_time_share_the_work(store: TestStore) {
    for run in store.submit_many(60).await {
        store.cancel(run).await.unwrap();
    }
    let unfinished = store.submit_one(new_run()).await;
    let purges = join_all((0..6).map(|_| store.purge(Duration::ZERO, 20))).await;
    let mut purged: usize = purges.into_iter().map(Result::unwrap).sum();
    while purged < 60 {
        let more = store.purge(Duration::ZERO, 20).await.unwrap();
        assert!(more > 0, "{purged} of 60");
        purged += more;
    }
    assert_eq!(purged, 60);
    assert_eq!(listed(&store).await, [unfinished].into());
}

async fn what_is_missing_is_told(store: TestStore) {
    let (there, gone, never) = (finished(&store).await, finished(&store).await, RunId::new_v7());
    store.delete(gone).await.unwrap();
    let missing: BTreeSet<_> = store.missing(&[there, gone, never]).await.unwrap().into_iter().collect();
    assert_eq!(missing, [gone, never].into());
    assert_eq!(store.missing(&[]).await.unwrap(), []);
}

async fn watchers_of_a_deleted_run_end(store: TestStore) {
    let service = run_service(&store.store, &store.hints);
    let claimed = store.claimed().await;
    let running = store.get(claimed.lease.run).await;
    let other = store.submit_one(new_run()).await;
    let mut of_other = Box::pin(service.watch(&store.get(other).await, 0));
    assert!(of_other.next().await.is_some());
    // One that has not been told of the end when the run is deleted.
    let waiting = service.watch(&running, 1000);
    store.write(end(&claimed, succeeded())).await;
    store.delete(running.id).await.unwrap();
    assert_eq!(timeout(PATIENCE, waiting.count()).await.unwrap(), 0);
    // One that comes after it, having learnt before that the run is under way.
    assert_eq!(timeout(PATIENCE, service.watch(&running, 0).count()).await.unwrap(), 0);
    store.cancel(other).await.unwrap();
    let last = timeout(PATIENCE, of_other.next()).await.unwrap().unwrap();
    assert_eq!(last.kind, EventKind::Cancelled);
    assert!(timeout(PATIENCE, of_other.next()).await.unwrap().is_none());
}

async fn retention_deletes_what_is_old_until_it_is_ended(store: TestStore) {
    let unfinished = store.submit_one(new_run()).await;
    let claimed = store.claim_one().await;
    for run in store.submit_many(120).await {
        store.cancel(run).await.unwrap();
    }
    let end_of_it = CancellationToken::new();
    let keep = keep_for(Duration::from_millis(1), store.store.clone(), end_of_it.clone());
    let keep = tokio::spawn(keep);
    until(async || listed(&store).await == [unfinished].into()).await;
    end_of_it.cancel();
    timeout(PATIENCE, keep).await.unwrap().unwrap();
    assert!(store.write(end(&claimed, succeeded())).await);
}

/// A table about runs that is added later has to be named by the statement too.
#[tokio::test]
async fn no_table_keeps_anything_of_a_deleted_run() {
    let store = TestStore::postgres().await;
    let mut runs = Vec::new();
    for _ in 0..2 {
        store.submit_one(with_sinks(2)).await;
        let claimed = store.claim_one().await;
        assert!(store.write(Record { ending: Some(succeeded()), ..part(&claimed, [0]) }).await);
        runs.push(claimed.lease.run);
    }
    let messages = store.claim_due().await;
    let (deleted, kept): (Vec<_>, Vec<_>) =
        messages.into_iter().partition(|message| message.lease.message.run == runs[0]);
    store.delete(runs[0]).await.unwrap();
    assert!(!store.settle_message(deleted[0].lease, &DELIVERED).await.unwrap(), "nothing comes back");
    assert_eq!(store.purge(Duration::ZERO, 10).await.unwrap(), 0, "messages are on their way");
    let mut messages = kept;
    while !messages.is_empty() {
        for message in &messages {
            assert!(store.settle_message(message.lease, &DELIVERED).await.unwrap());
        }
        messages = store.claim_due().await;
    }
    assert_eq!(store.purge(Duration::ZERO, 10).await.unwrap(), 1);
    let client = store.database.as_ref().unwrap().client().await;
    let tables = "SELECT table_name::text FROM information_schema.columns JOIN information_schema.tables
        USING (table_schema, table_name)
        WHERE table_schema = 'agentevals' AND table_type = 'BASE TABLE' AND column_name = 'run_id'";
    let tables: Vec<String> = client.query(tables, &[]).await.unwrap().iter().map(|row| row.get(0)).collect();
    assert!(tables.len() >= 7, "{tables:?}");
    for table in tables {
        let sql = format!("SELECT count(*) FROM agentevals.{table}");
        assert_eq!(client.query_one(&sql, &[]).await.unwrap().get::<_, i64>(0), 0, "{table}");
        // Of a finished run there is nothing in the queue.
        let is_named = statement().contains(&format!("DELETE FROM agentevals.{table} AS "));
        assert!(is_named || table == "run_queue", "sql/queries/runs/delete.sql does not name `{table}`");
    }
}

fn statement() -> &'static str {
    queries().into_iter().find(|query| query.name == "runs/delete").unwrap().sql
}

#[tokio::test]
async fn purging_and_deleting_go_by_index_and_stop() {
    let store = TestStore::postgres().await;
    let client = store.database.as_ref().unwrap().client().await;
    let fill = "INSERT INTO agentevals.run
            (run_id, created_at, priority, deadline_s, max_attempts, target_kind, outcome, attempt, finished_at,
                cancel_requested)
        SELECT gen_random_uuid(), now() - i * interval '1 minute', 0, 1, 1, 'inline', 'cancelled', 0,
            now() - i * interval '1 minute', true
        FROM generate_series(1, 20000) AS i";
    client.batch_execute(fill).await.unwrap();
    client.batch_execute("ANALYZE agentevals.run").await.unwrap();
    client.batch_execute(&format!("PREPARE forget (uuid, int8, int8) AS {}", statement())).await.unwrap();
    let day = 24 * 3600 * 1000;
    // From the sixth time on, the server may settle for a plan that suits any parameters.
    for _ in 0..10 {
        for (parameters, index) in [
            (format!("NULL, {day}, 50"), "Index Scan Backward using run_by_age on run"),
            ("gen_random_uuid(), NULL, 0".to_owned(), "Index Scan using run_pkey on run"),
        ] {
            let explain = format!("EXPLAIN (ANALYZE) EXECUTE forget ({parameters})");
            let rows = client.query(&explain, &[]).await.unwrap();
            let plan: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
            let plan = plan.join("\n");
            let target = plan.split("CTE named").nth(1).unwrap().split("CTE spec").next().unwrap();
            assert!(target.contains(index) && !target.contains("Seq Scan"), "{plan}");
            assert!(!target.contains("Rows Removed by Filter"), "{plan}");
        }
    }
    let left: i64 = client.query_one("SELECT count(*) FROM agentevals.run", &[]).await.unwrap().get(0);
    assert_eq!(left, 20_000 - 10 * 50);
}
