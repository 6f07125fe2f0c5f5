//! Submitting through the service, waiting for runs and watching them, from one process or several.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use agentevals::ids::RunId;
use agentevals::queue::{PreparedRecord, Record};
use agentevals::runs::{
    EventKind, Events, FeedEvent, FeedPosition, Hints, Run, RunEvent, RunFilter, RunService, RunStatus, Runs,
    StoreError, Submitted,
};
use agentevals::spec::Submission;
use agentevals::storage::Storage;
use agentevals::storage::memory::{MemoryLimits, MemoryStore};
use chrono::Utc;
use futures_util::future::join_all;
use futures_util::{FutureExt, Stream, StreamExt};
use tokio::time::timeout;

use crate::support::cluster::Cluster;
use crate::support::faulty::{Faulty, away};
use crate::support::postgres::{TestDb, settings};
use crate::support::proxy::Proxy;
use crate::support::runs::{
    LEASE, PATIENCE, TestStore, all_results, end, failed, new_run, on_both, part, result, run_service,
    succeeded, until, with_spec,
};

fn service(store: &TestStore) -> RunService {
    run_service(&store.store, &store.hints)
}

/// The next of what there has to be.
async fn next<T>(stream: &mut (impl Stream<Item = T> + Unpin)) -> T {
    timeout(PATIENCE, stream.next()).await.expect("something comes").expect("it goes on")
}

/// Everything up to the end, which there has to be.
async fn rest<T>(stream: impl Stream<Item = T>) -> Vec<T> {
    timeout(PATIENCE, stream.collect()).await.expect("it ends")
}

fn numbers(events: &[RunEvent]) -> Vec<u32> {
    events.iter().map(|event| event.seq).collect()
}

on_both! {
    a_watcher_is_told_what_was_and_what_comes_until_the_end,
    a_watcher_resumes_from_any_number,
    a_watcher_that_joins_at_any_time_misses_nothing,
    watching_a_finished_run_replays_it_and_ends,
    a_retried_run_is_watched_on,
    a_thousand_watchers_cost_few_queries,
    a_watcher_that_does_not_keep_up_is_let_go_and_resumes,
    watchers_outlive_an_outage,
    waiting_ends_with_the_run_or_with_patience,
    watchers_of_all_runs_are_told_everything_once,
    submissions_at_the_same_time_are_grouped_and_each_is_answered,
    a_run_that_cannot_be_stored_does_not_cost_the_others,
    results_of_no_run_are_told_from_no_results,
}

async fn a_watcher_is_told_what_was_and_what_comes_until_the_end(store: TestStore) {
    let service = service(&store);
    let claimed = store.claimed().await;
    let run = store.get(claimed.lease.run).await;
    let mut events = Box::pin(service.watch(&run, 0));
    assert_eq!(next(&mut events).await.kind, EventKind::Queued);
    assert_eq!(next(&mut events).await.kind, EventKind::Started);
    let nothing = timeout(Duration::from_millis(50), events.next()).await;
    assert!(nothing.is_err(), "{nothing:?}");
    let changed = Instant::now();
    store.write(part(&claimed, [0])).await;
    assert_eq!(next(&mut events).await.kind, EventKind::ResultCreated);
    assert!(changed.elapsed() < Duration::from_secs(2), "{:?}", changed.elapsed());
    assert_eq!(next(&mut events).await.kind, EventKind::Progress);
    store.write(end(&claimed, succeeded())).await;
    let last = rest(events).await;
    assert_eq!(last.iter().map(|event| event.kind).collect::<Vec<_>>(), [EventKind::Succeeded]);
    assert_eq!(numbers(&last), [5]);
}

async fn a_watcher_resumes_from_any_number(store: TestStore) {
    let service = service(&store);
    let claimed = store.claimed().await;
    store.write(part(&claimed, [0, 1])).await;
    let run = store.get(claimed.lease.run).await;
    let watchers: Vec<_> = (0..=5).map(|after| rest(service.watch(&run, after))).collect();
    let watchers = tokio::spawn(join_all(watchers.into_iter().map(tokio::spawn)));
    store.write(part(&claimed, [2])).await;
    store.write(Record { ending: Some(failed()), ..part(&claimed, [3]) }).await;
    for (after, events) in (0..).zip(watchers.await.unwrap()) {
        let events = events.unwrap();
        assert_eq!(numbers(&events), (after + 1..=9).collect::<Vec<_>>());
        assert_eq!(events, store.events_of(run.id).await[after as usize..]);
    }
}

async fn a_watcher_that_joins_at_any_time_misses_nothing(store: TestStore) {
    let (service, store) = (service(&store), Arc::new(store));
    let claimed = store.claimed().await;
    let run = store.get(claimed.lease.run).await;
    let writer = tokio::spawn({
        let store = store.clone();
        async move {
            for number in 0..100 {
                store.write(part(&claimed, [number])).await;
            }
            store.write(end(&claimed, succeeded())).await;
        }
    });
    let mut watchers = Vec::new();
    while !writer.is_finished() {
        // The number of the last event before is known; the run may be finished meanwhile.
        watchers.push(tokio::spawn(rest(service.watch(&run, fastrand::u32(..20)))));
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let last = store.events_of(run.id).await.len() as u32;
    assert_eq!(last, 203);
    assert!(!watchers.is_empty());
    for watcher in watchers {
        let events = numbers(&watcher.await.unwrap());
        assert_eq!(events, (events[0]..=last).collect::<Vec<_>>());
    }
}

async fn watching_a_finished_run_replays_it_and_ends(store: TestStore) {
    let service = service(&store);
    let claimed = store.claimed().await;
    let results = (0..2500).map(result).collect();
    store.write(Record { results, ending: Some(succeeded()), ..part(&claimed, []) }).await;
    let run = store.get(claimed.lease.run).await;
    let last = 2503;
    for after in [0, 1, 500, 503, 1503, last - 1, last, u32::MAX] {
        let events = rest(service.watch(&run, after)).await;
        assert_eq!(numbers(&events), (after.saturating_add(1)..=last).collect::<Vec<_>>(), "after {after}");
    }
    // One that was not finished when it was looked at.
    let unfinished = Run { status: RunStatus::Running, ..run };
    assert_eq!(rest(service.watch(&unfinished, 2000)).await.len(), 503);
}

async fn a_retried_run_is_watched_on(store: TestStore) {
    let service = service(&store);
    let claimed = store.claimed().await;
    store.write(end(&claimed, failed())).await;
    store.retry(claimed.lease.run).await.unwrap();
    let run = store.get(claimed.lease.run).await;
    let mut events = Box::pin(service.watch(&run, 0));
    for expected in [EventKind::Queued, EventKind::Started, EventKind::Failed, EventKind::Queued] {
        assert_eq!(next(&mut events).await.kind, expected);
    }
    let claimed = store.claim_one().await;
    store.write(end(&claimed, succeeded())).await;
    let kinds: Vec<_> = rest(events).await.iter().map(|event| event.kind).collect();
    assert_eq!(kinds, [EventKind::Started, EventKind::Succeeded]);
}

async fn a_thousand_watchers_cost_few_queries(store: TestStore) {
    let faulty = Faulty::<dyn Events>::before(store.store.clone());
    let (runs, retention) = (store.store.clone(), store.store.clone());
    let service = RunService::new(runs, faulty.clone(), retention, &store.hints);
    store.submit_many(1000).await;
    let runs = store.list(&RunFilter { limit: 1000, ..RunFilter::default() }).await.unwrap();
    let gate = faulty.hold("events"); // those that join meanwhile are served together
    let watchers: Vec<_> = runs.iter().map(|run| Box::pin(service.watch(run, 0))).collect();
    gate.add_permits(1_000_000);
    let mut watchers: HashMap<RunId, _> = runs.iter().map(|run| run.id).zip(watchers).collect();
    for watcher in watchers.values_mut() {
        assert_eq!(next(watcher).await.kind, EventKind::Queued);
    }
    assert!(faulty.calls("events") <= 10, "{} to join", faulty.calls("events"));
    let before = faulty.calls("events");
    for _ in 0..10 {
        let claimed = store.claim("worker", 100, LEASE).await.unwrap();
        let ends: Vec<_> = claimed.iter().map(|claimed| end(claimed, succeeded())).collect();
        store.write_all(ends).await;
    }
    for (_, watcher) in watchers {
        assert_eq!(rest(watcher).await.len(), 2);
    }
    let calls = faulty.calls("events") - before;
    assert!(calls <= 40, "{calls} for twenty groups of changes");
    // Nobody watches any more: nothing is read.
    let before = faulty.calls("events");
    store.submit_many(10).await;
    let last = store.submit_one(new_run()).await;
    let mut watcher = Box::pin(service.watch(&store.get(last).await, 0));
    next(&mut watcher).await;
    assert!(faulty.calls("events") - before <= 2);
}

async fn a_watcher_that_does_not_keep_up_is_let_go_and_resumes(store: TestStore) {
    let service = service(&store);
    let claimed = store.claimed().await;
    let run = store.get(claimed.lease.run).await;
    let slow = service.watch(&run, 0);
    let mut quick = Box::pin(service.watch(&run, 0));
    for group in 0..10 {
        store.write(part(&claimed, group * 1000..(group + 1) * 1000)).await;
        for _ in 0..1001 + if group == 0 { 2 } else { 0 } {
            next(&mut quick).await;
        }
    }
    // It gets what it had room for, then its stream ends though the run goes on.
    let mut seen = rest(slow).await;
    assert!(seen.len() >= 4000 && seen.len() < 10_012, "{}", seen.len());
    store.write(end(&claimed, succeeded())).await;
    let run = store.get(run.id).await;
    seen.extend(rest(service.watch(&run, seen.last().unwrap().seq)).await);
    assert_eq!(numbers(&seen), (1..=10_013).collect::<Vec<_>>());
    assert_eq!(rest(quick).await.len(), 1);
}

async fn watchers_outlive_an_outage(store: TestStore) {
    let faulty = Faulty::<dyn Events>::before(store.store.clone());
    let (runs, retention) = (store.store.clone(), store.store.clone());
    let service = RunService::new(runs, faulty.clone(), retention, &store.hints);
    let claimed = store.claimed().await;
    let run = store.get(claimed.lease.run).await;
    let mut events = Box::pin(service.watch(&run, 0));
    let mut all = Box::pin(service.watch_all(None).await.unwrap());
    next(&mut events).await;
    next(&mut events).await;
    faulty.take_away(&["events", "feed"]);
    store.write(part(&claimed, [0])).await;
    until(async || faulty.calls("events") >= 4).await;
    faulty.heal();
    assert_eq!(next(&mut events).await.kind, EventKind::ResultCreated);
    while next(&mut all).await.event.kind != EventKind::Progress {}
    store.write(end(&claimed, succeeded())).await;
    assert_eq!(rest(events).await.len(), 2);
}

async fn waiting_ends_with_the_run_or_with_patience(store: TestStore) {
    let service = service(&store);
    assert_eq!(service.wait(RunId::new_v7(), PATIENCE).await.unwrap(), None);
    let claimed = store.claimed().await;
    let run = claimed.lease.run;
    let started = Instant::now();
    let waited = service.wait(run, Duration::from_millis(100)).await.unwrap().unwrap();
    assert_eq!(waited.status, RunStatus::Running);
    assert!(started.elapsed() >= Duration::from_millis(100));
    let waiting = tokio::spawn({
        let service = service.clone();
        async move { service.wait(run, PATIENCE).await.unwrap().unwrap() }
    });
    store.write(part(&claimed, [0])).await;
    store.write(end(&claimed, failed())).await;
    assert_eq!(timeout(PATIENCE / 2, waiting).await.unwrap().unwrap(), store.get(run).await);
    assert_eq!(service.wait(run, PATIENCE).await.unwrap(), Some(store.get(run).await));
}

async fn watchers_of_all_runs_are_told_everything_once(store: TestStore) {
    let service = service(&store);
    let old = store.submit_one(new_run()).await;
    let from_start = Box::pin(service.watch_all(Some(FeedPosition::START)).await.unwrap());
    let mut from_now = Box::pin(service.watch_all(None).await.unwrap());
    let mut runs = vec![old];
    for _ in 0..20 {
        runs.extend(store.submit_many(10).await);
        for claimed in store.claim("worker", 10, LEASE).await.unwrap() {
            store.write(Record { ending: Some(succeeded()), ..part(&claimed, [0]) }).await;
        }
    }
    // 201 are queued, 200 of them started, have a result, and end.
    let whole: Vec<FeedEvent> =
        timeout(PATIENCE, from_start.take(801).collect()).await.expect("all events come");
    assert!(whole.is_sorted_by(|one, other| one.position < other.position));
    let mut last = HashMap::new();
    for event in &whole {
        assert_eq!(last.insert(event.event.run, event.event.seq).unwrap_or(0) + 1, event.event.seq);
    }
    assert_eq!(last.len(), 201);
    let first = next(&mut from_now).await;
    assert!(whole.contains(&first));
    // From any event on, the rest.
    for index in [0, 1, 17, 400, 799] {
        let after = whole[index].position;
        let again = service.watch_all(Some(after)).await.unwrap().take(800 - index);
        let again: Vec<_> = timeout(PATIENCE, again.collect()).await.expect("the rest comes");
        assert_eq!(again, whole[index + 1..], "after {index}");
    }
}

async fn submissions_at_the_same_time_are_grouped_and_each_is_answered(store: TestStore) {
    let faulty = Faulty::<dyn Runs>::before(store.store.clone());
    let (events, retention) = (store.store.clone(), store.store.clone());
    let service = RunService::new(faulty.clone(), events, retention, &store.hints);
    let gate = faulty.hold("submit");
    let runs: Vec<_> = (0..300).map(|_| new_run()).collect();
    let submissions = runs.iter().cloned().map(|run| {
        let service = service.clone();
        tokio::spawn(async move { service.submit(run).await })
    });
    let submissions: Vec<_> = submissions.collect();
    until(async || faulty.calls("submit") == 1).await;
    gate.add_permits(10_000);
    for (run, answer) in runs.iter().zip(join_all(submissions).await) {
        assert!(matches!(answer.unwrap(), Ok(Submitted::Created(stored)) if stored.id == run.id));
    }
    assert!(faulty.calls("submit") < 100, "{}", faulty.calls("submit"));
    // The same and other work at the same time as the first.
    let first = new_run();
    let other = Submission { id: first.id, ..with_spec("{}") };
    let group = [first.clone(), first.clone(), other].map(|run| {
        let service = service.clone();
        async move { service.submit(run).await.unwrap() }
    });
    let answers = join_all(group).await;
    assert!(
        matches!(&answers[..], [Submitted::Created(_), Submitted::Same(_), Submitted::Conflict(_)]),
        "{answers:?}"
    );
}

async fn a_run_that_cannot_be_stored_does_not_cost_the_others(store: TestStore) {
    let service = service(&store);
    let bad = Submission { deadline: Duration::ZERO, priority: 101, ..new_run() };
    let runs: Vec<_> = (0..9).map(|number| if number == 4 { bad.clone() } else { new_run() }).collect();
    let answers = join_all(runs.iter().cloned().map(|run| service.submit(run))).await;
    for (number, answer) in answers.iter().enumerate() {
        // Memory has no rules of its own.
        let is_refused = number == 4 && store.database.is_some();
        assert_eq!(matches!(answer, Ok(Submitted::Created(_))), !is_refused, "{answer:?}");
    }
    // An outage is told to all of a group.
    let faulty = Faulty::<dyn Runs>::before(store.store.clone());
    let (events, retention) = (store.store.clone(), store.store.clone());
    let service = RunService::new(faulty.clone(), events, retention, &store.hints);
    faulty.fail(|_, _| Some(away()));
    for answer in join_all((0..5).map(|_| service.submit(new_run()))).await {
        assert!(matches!(answer, Err(StoreError::Unavailable(_))));
    }
}

async fn results_of_no_run_are_told_from_no_results(store: TestStore) {
    let service = service(&store);
    assert!(service.results(RunId::new_v7(), &all_results()).await.unwrap().is_none());
    let claimed = store.claimed().await;
    assert!(service.results(claimed.lease.run, &all_results()).await.unwrap().unwrap().is_empty());
    store.write(part(&claimed, [0])).await;
    assert_eq!(service.results(claimed.lease.run, &all_results()).await.unwrap().unwrap().len(), 1);
    service.check().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_replicas_tell_the_same() {
    let database = TestDb::new().await;
    let replicas =
        [TestStore::replica(&database.settings()).await, TestStore::replica(&database.settings()).await];
    let services = [service(&replicas[0]), service(&replicas[1])];
    let Submitted::Created(run) = services[0].submit(new_run()).await.unwrap() else { panic!() };
    let watchers = services.each_ref().map(|service| tokio::spawn(rest(service.watch(&run, 0))));
    let mut feeds = Vec::new();
    for service in &services {
        let feed = service.watch_all(Some(FeedPosition::START)).await.unwrap().take(103);
        feeds.push(tokio::spawn(rest(feed)));
    }
    let waiting = tokio::spawn({
        let service = services[1].clone();
        async move { service.wait(run.id, PATIENCE).await.unwrap().unwrap() }
    });
    let claimed = replicas[1].claim_one().await;
    for number in 0..50 {
        replicas[number as usize % 2].write(part(&claimed, [number])).await;
    }
    replicas[0].write(end(&claimed, succeeded())).await;
    assert_eq!(timeout(PATIENCE, waiting).await.unwrap().unwrap().status, RunStatus::Succeeded);
    let [one, other] = watchers;
    let (one, other) = (one.await.unwrap(), other.await.unwrap());
    assert_eq!(one.len(), 103);
    assert_eq!(one, other);
    for feed in feeds {
        assert!(feed.await.unwrap().into_iter().map(|event| event.event).eq(one.iter().cloned()));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn watchers_catch_up_when_hints_were_lost() {
    let cluster = Cluster::start();
    let url = cluster.url("postgres");
    agentevals::storage::postgres::Migrator::connect(&settings(&url)).await.unwrap().up().await.unwrap();
    let proxy = Proxy::start(cluster.address()).await;
    let writer = TestStore::replica(&settings(&url)).await;
    let behind = TestStore::replica(&settings(&proxy.url_for(&url))).await;
    let service = service(&behind);
    let claimed = writer.claimed().await;
    let run = writer.get(claimed.lease.run).await;
    let mut events = Box::pin(service.watch(&run, 0));
    let mut all = Box::pin(service.watch_all(Some(FeedPosition::START)).await.unwrap());
    for _ in 0..2 {
        next(&mut events).await;
        next(&mut all).await;
    }
    for number in 0..3 {
        proxy.cut().await;
        writer.write(part(&claimed, [number])).await;
        let unheard = events.next().now_or_never();
        assert!(unheard.is_none(), "{unheard:?}");
        proxy.heal();
        for expected in [EventKind::ResultCreated, EventKind::Progress] {
            assert_eq!(next(&mut events).await.kind, expected);
            assert_eq!(next(&mut all).await.event.kind, expected);
        }
    }
    writer.write(end(&claimed, succeeded())).await;
    assert_eq!(numbers(&rest(events).await), [9]);
}

#[tokio::test]
async fn memory_that_is_full_forgets_the_oldest_finished_run_or_refuses() {
    let hints = Hints::default();
    let limits = MemoryLimits { runs: 3, spec_bytes: 1000 };
    let store: Arc<dyn Storage> = Arc::new(MemoryStore::new(limits, hints.clone()));
    let service = run_service(&store, &hints);
    let mut runs = Vec::new();
    for _ in 0..3 {
        runs.push(new_run());
        service.submit(runs.last().unwrap().clone()).await.unwrap();
    }
    let refused = new_run();
    assert!(matches!(service.submit(refused.clone()).await, Err(StoreError::Full(_))));
    assert_eq!(store.run(refused.id).await.unwrap(), None);
    // The same again needs no room.
    assert!(matches!(service.submit(runs[0].clone()).await, Ok(Submitted::Same(_))));
    let claimed = store.claim("worker", 1, LEASE).await.unwrap().pop().unwrap();
    let ended = end(&claimed, succeeded());
    store.record(&[PreparedRecord::new(&ended, Utc::now()).unwrap()]).await.unwrap();
    // Of two that do not both fit, one is stored, and said to be.
    let group = join_all([new_run(), new_run()].map(|run| service.submit(run))).await;
    assert!(matches!(&group[..], [Ok(Submitted::Created(_)), Err(StoreError::Full(_))]), "{group:?}");
    assert_eq!(store.run(runs[0].id).await.unwrap(), None);
    assert_eq!(store.claim("worker", 10, LEASE).await.unwrap().len(), 3);
    let feed = store.feed(FeedPosition::START, 100).await.unwrap();
    assert!(feed.events.iter().all(|event| event.event.run != runs[0].id));
    let big = Submission { spec: "x".repeat(1001), ..new_run() };
    assert!(matches!(store.submit(&[big]).await, Err(StoreError::Full(_))));
}
