//! What every store does; `fault_N` is explained in `mod.rs`.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use agentevals::ids::{LeaseId, RunId};
use agentevals::queue::{LEASE_LOST, Lease, Record};
use agentevals::runs::{
    Ending, EventKind, Failure, FeedPosition, Hint, MetricSummary, Progress, ResultCounts, ResultFilter,
    ResultRecord, ResultStatus, Retried, Run, RunFilter, RunStatus, Submitted, Summary, Verdict,
};
use agentevals::spec::Submission;
use futures_util::future::join_all;
use serde_json::json;
use serde_json::value::RawValue;
use tokio::sync::Barrier;
use tokio::time::timeout;

use crate::support::runs::{
    LEASE, PATIENCE, TestStore, all_results, end, failed, failure, hinted, new_run, on_both, part, record,
    result, succeeded, until, with_spec,
};

/// Text that storage may stumble over.
const ODD: &str = "a\0b \u{feff}\u{202e}\u{10ffff} e\u{301} 'x\" \\u0000 \\ \n 👩‍👩‍👧";

on_both! {
    a_new_run_is_queued_with_its_first_event,
    the_same_work_under_an_id_is_the_stored_run_and_other_work_a_conflict,
    a_key_finds_the_run_submitted_under_it_before,
    one_id_twice_in_a_group_is_stored_once,
    one_key_twice_in_a_group_is_stored_once,
    a_group_of_many_is_stored_whole,
    submissions_of_one_id_at_the_same_time_store_one_run,
    a_specification_is_kept_byte_for_byte,
    labels_and_keys_may_be_any_text,
    what_does_not_exist_is_not_found,
    fault_8_pages_over_equal_times_lose_and_repeat_nothing,
    every_filter_selects_runs,
    the_most_urgent_run_is_claimed_first_then_the_oldest,
    no_more_is_claimed_than_asked_for,
    two_claimers_never_get_the_same_run,
    each_claim_has_a_new_lease_and_counts,
    a_heartbeat_tells_what_is_held_lost_and_to_be_stopped,
    a_heartbeat_keeps_a_run_from_being_lost,
    a_write_repeated_after_a_lost_answer_is_done_once,
    results_come_in_parts_before_the_end,
    fault_2_an_old_lease_writes_nothing,
    results_are_listed_by_place_with_filters_and_in_pages,
    fault_10_results_of_an_earlier_attempt_are_gone_when_the_later_one_ended,
    fault_10_results_from_before_a_release_are_gone_when_the_run_ended,
    fault_16_scores_that_are_no_numbers_do_not_fail_a_run,
    results_may_be_big_and_odd,
    records_of_many_runs_are_written_together,
    every_ending_is_read_as_it_was_written,
    a_requeued_run_waits_and_the_attempt_counts,
    a_run_that_is_to_be_stopped_is_not_requeued,
    fault_3_a_released_run_is_due_at_once_and_the_attempt_does_not_count,
    a_lost_run_is_queued_again_until_it_is_out_of_attempts,
    a_lost_run_that_is_to_be_stopped_is_cancelled,
    any_number_of_lost_runs_is_settled,
    cancelling_depends_on_the_status,
    fault_1_a_cancelled_run_is_cancelled_whatever_else_its_worker_writes,
    cancel_and_claim_at_the_same_time_never_both_lose,
    failed_and_cancelled_runs_can_be_retried,
    retries_at_the_same_time_queue_a_run_once,
    a_scan_sees_what_is_due_lost_and_next,
    events_are_numbered_without_gaps_through_every_change,
    events_of_several_runs_come_in_order_up_to_a_limit,
    numbers_beyond_all_events_and_results_find_nothing,
    the_feed_goes_on_from_any_position,
    a_reader_of_the_feed_sees_each_event_of_many_writers_once,
    the_end_of_the_feed_is_after_what_has_happened,
    every_change_is_hinted,
    the_store_says_that_it_can_be_used,
}

// Submission

async fn a_new_run_is_queued_with_its_first_event(store: TestStore) {
    let mut new =
        Submission { priority: -7, deadline: Duration::from_secs(42), max_attempts: 5, ..new_run() };
    new.labels = [("team".to_owned(), "search".to_owned())].into();
    let submitted = store.submit(std::slice::from_ref(&new)).await.unwrap();
    let [Submitted::Created(run)] = &*submitted else { panic!("{submitted:?}") };
    assert_eq!(*run, store.get(new.id).await);
    let expected = Run {
        id: new.id,
        status: RunStatus::Queued,
        verdict: None,
        attempt: 0,
        max_attempts: 5,
        priority: -7,
        deadline: Duration::from_secs(42),
        labels: new.labels.clone(),
        target_kind: new.target_kind,
        eval_set_id: None,
        worker: None,
        progress: None,
        failure: None,
        summary: None,
        created_at: run.created_at,
        started_at: None,
        finished_at: None,
        cancel_requested: false,
    };
    assert_eq!(*run, expected);
    assert_eq!(store.kinds(new.id).await, [EventKind::Queued]);
    assert_eq!(store.spec(new.id).await.unwrap().unwrap(), new.spec);
}

async fn the_same_work_under_an_id_is_the_stored_run_and_other_work_a_conflict(store: TestStore) {
    let new = new_run();
    store.submit_one(new.clone()).await;
    let other = Submission { id: new.id, ..with_spec("{}") };
    let answers = store.submit(&[new.clone(), other.clone()]).await.unwrap();
    let stored = store.get(new.id).await;
    assert_eq!(answers, [Submitted::Same(stored.clone()), Submitted::Conflict(stored)]);
    assert_eq!(store.spec(new.id).await.unwrap().unwrap(), new.spec);
    // Whatever the status.
    let claimed = store.claim_one().await;
    assert!(matches!(&store.submit(std::slice::from_ref(&new)).await.unwrap()[..],
        [Submitted::Same(run)] if run.status == RunStatus::Running));
    store.write(end(&claimed, failed())).await;
    let finished = store.get(new.id).await;
    let answers = store.submit(&[other, new.clone()]).await.unwrap();
    assert_eq!(answers, [Submitted::Conflict(finished.clone()), Submitted::Same(finished)]);
    assert_eq!(store.kinds(new.id).await, [EventKind::Queued, EventKind::Started, EventKind::Failed]);
}

async fn a_key_finds_the_run_submitted_under_it_before(store: TestStore) {
    let keyed = |spec: &str| Submission { idempotency_key: Some("key".to_owned()), ..with_spec(spec) };
    let (first, again, other) = (keyed("[1]"), keyed("[1]"), keyed("[2]"));
    let unkeyed = with_spec("[1]");
    store.submit_one(first.clone()).await;
    // One who says which run it should be must not be answered with another.
    let chosen = Submission { is_id_chosen: true, ..keyed("[1]") };
    let answer = store.submit(&[chosen, Submission { is_id_chosen: true, ..first.clone() }]).await.unwrap();
    let stored = store.get(first.id).await;
    assert_eq!(answer, [Submitted::Conflict(stored.clone()), Submitted::Same(stored)]);
    let answers =
        store.submit(&[again.clone(), other.clone(), unkeyed.clone(), unkeyed.clone()]).await.unwrap();
    let stored = store.get(first.id).await;
    let fresh = store.get(unkeyed.id).await;
    let expected = [
        Submitted::Same(stored.clone()),
        Submitted::Conflict(stored),
        Submitted::Created(fresh.clone()),
        Submitted::Same(fresh),
    ];
    assert_eq!(answers, expected);
    for absent in [again.id, other.id] {
        assert_eq!(store.run(absent).await.unwrap(), None);
        assert_eq!(store.spec(absent).await.unwrap(), None);
        assert!(store.events_of(absent).await.is_empty());
    }
}

async fn one_id_twice_in_a_group_is_stored_once(store: TestStore) {
    let new = new_run();
    let other = Submission { id: new.id, ..with_spec("{}") };
    let answers = store.submit(&[new.clone(), other, new.clone(), new_run()]).await.unwrap();
    let stored = store.get(new.id).await;
    assert_eq!(answers[0], Submitted::Created(stored.clone()));
    assert_eq!(answers[1], Submitted::Conflict(stored.clone()));
    assert_eq!(answers[2], Submitted::Same(stored));
    assert!(matches!(answers[3], Submitted::Created(_)));
    assert_eq!(store.kinds(new.id).await, [EventKind::Queued]);
    assert_eq!(store.claim("worker", 10, LEASE).await.unwrap().len(), 2);
}

async fn one_key_twice_in_a_group_is_stored_once(store: TestStore) {
    let keyed = || Submission { idempotency_key: Some("key".to_owned()), ..with_spec("[1]") };
    let group = [keyed(), keyed(), keyed()];
    let answers = store.submit(&group).await.unwrap();
    let created: Vec<_> = answers.iter().filter(|answer| matches!(answer, Submitted::Created(_))).collect();
    let [Submitted::Created(stored)] = &created[..] else { panic!("{answers:?}") };
    assert_eq!(answers.iter().filter(|answer| **answer == Submitted::Same(stored.clone())).count(), 2);
    assert_eq!(store.claim("worker", 10, LEASE).await.unwrap().len(), 1);
}

async fn a_group_of_many_is_stored_whole(store: TestStore) {
    let mut group: Vec<_> = (0..600).map(|_| new_run()).collect();
    fastrand::shuffle(&mut group);
    let answers = store.submit(&group).await.unwrap();
    for (new, answer) in group.iter().zip(&answers) {
        assert!(matches!(answer, Submitted::Created(run) if run.id == new.id));
    }
    // Age is the order in which they were given.
    let claimed = store.claim("worker", 1000, LEASE).await.unwrap();
    assert_eq!(ids(claimed.iter().map(|it| it.lease.run)), ids(group.iter().map(|it| it.id)));
    assert!(claimed.iter().zip(&group).all(|(claimed, new)| claimed.spec == new.spec));
}

async fn submissions_of_one_id_at_the_same_time_store_one_run(store: TestStore) {
    let group: Arc<[_]> = (0..20).map(|_| new_run()).collect();
    let (store, barrier) = (Arc::new(store), Arc::new(Barrier::new(8)));
    let submit = |seed| {
        let (store, barrier, mut group) = (store.clone(), barrier.clone(), group.to_vec());
        tokio::spawn(async move {
            fastrand::Rng::with_seed(seed).shuffle(&mut group);
            barrier.wait().await;
            let answers = store.submit(&group).await.unwrap();
            assert!(answers.iter().all(|answer| !matches!(answer, Submitted::Conflict(_))));
            answers.iter().filter(|answer| matches!(answer, Submitted::Created(_))).count()
        })
    };
    let created = join_all((0..8).map(submit)).await;
    assert_eq!(created.into_iter().map(Result::unwrap).sum::<usize>(), 20);
}

async fn a_specification_is_kept_byte_for_byte(store: TestStore) {
    let specs = [
        "{ \"b\" : 1.0e+2,\n\t\"a\":\"\\u0000\\ud800 é\", \"a\": 00 }".to_owned(),
        format!("{{\"text\":\"{}\"}}", "\u{feff}\u{202e}\u{10ffff}e\u{301}👩‍👩‍👧"),
        format!("[{}]", "1, ".repeat(500_000)),
    ];
    for spec in specs {
        let new = with_spec(&spec);
        store.submit_one(new.clone()).await;
        assert!(store.spec(new.id).await.unwrap().unwrap() == spec);
        assert!(store.claim_one().await.spec == spec);
    }
}

async fn labels_and_keys_may_be_any_text(store: TestStore) {
    let new = Submission {
        idempotency_key: Some(ODD.to_owned()),
        labels: [(ODD.to_owned(), ODD.to_owned()), ("a\"b".to_owned(), "%_'".to_owned())].into(),
        ..new_run()
    };
    store.submit_one(new.clone()).await;
    let again = Submission { id: RunId::new_v7(), ..new.clone() };
    assert!(matches!(&store.submit(&[again]).await.unwrap()[..], [Submitted::Same(run)] if run.id == new.id));
    for (key, value) in new.labels {
        let filter = RunFilter { labels: vec![(key, value)], limit: 10, ..RunFilter::default() };
        assert_eq!(list(&store, &filter).await, [new.id]);
    }
}

// Reading

async fn what_does_not_exist_is_not_found(store: TestStore) {
    let id = RunId::new_v7();
    let lease = Lease { run: id, id: LeaseId::new_random() };
    assert_eq!(store.run(id).await.unwrap(), None);
    assert_eq!(store.spec(id).await.unwrap(), None);
    assert!(store.results(id, &all_results()).await.unwrap().is_empty());
    assert!(store.events(&[(id, 0)], 10).await.unwrap().is_empty());
    assert!(store.events(&[], 10).await.unwrap().is_empty());
    assert_eq!(store.cancel(id).await.unwrap(), None);
    assert_eq!(store.retry(id).await.unwrap(), None);
    assert!(store.claim("worker", 10, LEASE).await.unwrap().is_empty());
    assert!(store.heartbeat(&[lease], LEASE).await.unwrap().is_empty());
    assert!(store.heartbeat(&[], LEASE).await.unwrap().is_empty());
    assert!(store.record(&[]).await.unwrap().is_empty());
    assert!(!store.requeue(lease, &failure(), Duration::ZERO).await.unwrap());
    store.release(&[lease]).await.unwrap();
    store.release(&[]).await.unwrap();
    assert_eq!(store.reap().await.unwrap(), 0);
    assert!(store.submit(&[]).await.unwrap().is_empty());
    assert!(store.list(&RunFilter { limit: 10, ..RunFilter::default() }).await.unwrap().is_empty());
    assert!(store.feed(FeedPosition::START, 10).await.unwrap().events.is_empty());
}

/// Upstream pages by `created_at <` alone.
async fn fault_8_pages_over_equal_times_lose_and_repeat_nothing(store: TestStore) {
    let mut expected = Vec::new();
    for _ in 0..5 {
        expected.extend(store.submit_many(7).await);
    }
    let everything = RunFilter { limit: 1000, ..RunFilter::default() };
    let all = store.list(&everything).await.unwrap();
    assert!(all.is_sorted_by_key(|run| std::cmp::Reverse((run.created_at, run.id))));
    assert_eq!(BTreeSet::from_iter(all.iter().map(|run| run.id)), BTreeSet::from_iter(expected));
    for limit in [1, 3, 7, 34, 35, 36] {
        let mut filter = RunFilter { limit, ..RunFilter::default() };
        let mut paged = Vec::new();
        loop {
            let page = store.list(&filter).await.unwrap();
            filter.after = page.last().map(|run| (run.created_at, run.id));
            let is_last = page.len() < limit;
            paged.extend(page);
            if is_last {
                break;
            }
        }
        assert_eq!(paged, all, "pages of {limit}");
    }
}

async fn every_filter_selects_runs(store: TestStore) {
    let labelled = |labels: &[(&str, &str)]| {
        let labels = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Submission { labels, ..new_run() }
    };
    let finished = [
        (succeeded(), labelled(&[("team", "a")])),
        (
            Ending::Succeeded { verdict: Verdict::Failed, summary: Box::default() },
            labelled(&[("team", "a"), ("env", "ci")]),
        ),
        (
            Ending::Succeeded { verdict: Verdict::Errored, summary: Box::default() },
            labelled(&[("team", "b")]),
        ),
        (failed(), labelled(&[("team", "b"), ("env", "ci")])),
        (Ending::Cancelled, labelled(&[])),
    ];
    let mut runs = Vec::new();
    for (ending, new) in finished {
        runs.push(store.submit_one(new).await);
        let claimed = store.claim_one().await;
        assert!(store.write(end(&claimed, ending)).await);
    }
    let running = store.submit_one(labelled(&[("env", "ci")])).await;
    store.claim_one().await;
    let queued = store.submit_one(labelled(&[("env", "prod")])).await;
    runs.extend([running, queued]);
    let [passed, worse, errored, failed, cancelled, ..] = runs[..] else { panic!() };
    let any = || RunFilter { limit: 100, ..RunFilter::default() };
    let select = async |filter: RunFilter, expected: &[RunId]| {
        let mut found = list(&store, &filter).await;
        found.reverse();
        assert_eq!(ids(found), ids(expected.iter().copied()), "{filter:?}");
    };
    let status = |statuses: &[RunStatus]| RunFilter { statuses: statuses.to_vec(), ..any() };
    let verdict = |verdicts: &[Verdict]| RunFilter { verdicts: verdicts.to_vec(), ..any() };
    let label = |labels: &[(&str, &str)]| {
        let labels = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        RunFilter { labels, ..any() }
    };
    select(any(), &runs).await;
    select(status(&[RunStatus::Queued]), &[queued]).await;
    select(status(&[RunStatus::Running]), &[running]).await;
    select(status(&[RunStatus::Queued, RunStatus::Running]), &[running, queued]).await;
    select(status(&[RunStatus::Succeeded]), &[passed, worse, errored]).await;
    select(status(&[RunStatus::Failed, RunStatus::Cancelled]), &[failed, cancelled]).await;
    select(status(&[RunStatus::Failed, RunStatus::Queued]), &[failed, queued]).await;
    select(verdict(&[Verdict::Passed]), &[passed]).await;
    select(verdict(&[Verdict::Failed, Verdict::Errored]), &[worse, errored]).await;
    select(label(&[("team", "a")]), &[passed, worse]).await;
    select(label(&[("env", "ci")]), &[worse, failed, running]).await;
    select(label(&[("env", "ci"), ("team", "b")]), &[failed]).await;
    select(label(&[("team", "a"), ("team", "b")]), &[]).await;
    select(label(&[("team", "A")]), &[]).await;
    select(RunFilter { statuses: vec![RunStatus::Running], ..label(&[("env", "ci")]) }, &[running]).await;
    select(RunFilter { statuses: vec![RunStatus::Queued], ..label(&[("env", "ci")]) }, &[]).await;
    select(RunFilter { verdicts: vec![Verdict::Failed], ..label(&[("env", "ci")]) }, &[worse]).await;
    select(RunFilter { verdicts: vec![Verdict::Failed], ..status(&[RunStatus::Queued]) }, &[]).await;
    // The times bound a half-open interval.
    let times = [worse, failed].map(async |run| store.get(run).await.created_at);
    let [from, before] = times;
    let (from, before) = (from.await, before.await);
    select(RunFilter { created_from: Some(from), ..any() }, &runs[1..]).await;
    select(RunFilter { created_before: Some(before), ..any() }, &runs[..3]).await;
    let between = || RunFilter { created_from: Some(from), created_before: Some(before), ..any() };
    select(between(), &[worse, errored]).await;
    select(RunFilter { after: Some((before, failed)), ..any() }, &runs[..3]).await;
    select(RunFilter { limit: 1, ..between() }, &[errored]).await;
    let unfinished = status(&[RunStatus::Queued, RunStatus::Running]);
    let of_queued = store.get(queued).await.created_at;
    select(RunFilter { limit: 1, ..unfinished.clone() }, &[queued]).await;
    select(RunFilter { after: Some((of_queued, queued)), ..unfinished.clone() }, &[running]).await;
    select(RunFilter { created_from: Some(of_queued), ..unfinished.clone() }, &[queued]).await;
    select(RunFilter { created_before: Some(of_queued), ..unfinished }, &[running]).await;
}

// Claims and leases

async fn the_most_urgent_run_is_claimed_first_then_the_oldest(store: TestStore) {
    let mut expected = Vec::new();
    for priority in [0, 100, -100, 0, 5, 100, -5] {
        let run = store.submit_one(Submission { priority, ..new_run() }).await;
        expected.push((-priority, expected.len(), run));
    }
    expected.sort_unstable();
    let mut claimed = Vec::new();
    for limit in [1, 2, 10] {
        claimed.extend(store.claim("worker", limit, LEASE).await.unwrap());
    }
    assert_eq!(ids(claimed.iter().map(|it| it.lease.run)), ids(expected.into_iter().map(|(.., run)| run)));
}

async fn no_more_is_claimed_than_asked_for(store: TestStore) {
    store.submit_many(10).await;
    for (limit, expected) in [(0, 0), (3, 3), (6, 6), (6, 1), (6, 0)] {
        assert_eq!(store.claim("worker", limit, LEASE).await.unwrap().len(), expected);
    }
}

async fn two_claimers_never_get_the_same_run(store: TestStore) {
    let submitted = store.submit_many(300).await;
    let (store, barrier) = (Arc::new(store), Arc::new(Barrier::new(8)));
    let claim = |number: usize| {
        let (store, barrier) = (store.clone(), barrier.clone());
        tokio::spawn(async move {
            let mut claimed = Vec::new();
            barrier.wait().await;
            while store.scan().await.unwrap().has_due {
                claimed.extend(store.claim(&format!("worker {number}"), 1 + number, LEASE).await.unwrap());
            }
            claimed.into_iter().map(|it| it.lease.run).collect::<Vec<_>>()
        })
    };
    let claimed: Vec<_> =
        join_all((0..8).map(claim)).await.into_iter().flat_map(|runs| runs.unwrap()).collect();
    assert_eq!(claimed.len(), 300);
    assert_eq!(HashSet::<_>::from_iter(claimed), HashSet::from_iter(submitted));
}

async fn each_claim_has_a_new_lease_and_counts(store: TestStore) {
    let new = Submission { max_attempts: 100, deadline: Duration::from_secs(7), ..new_run() };
    store.submit_one(new.clone()).await;
    let (mut leases, mut started_at) = (HashSet::new(), None);
    for attempt in 1..=20 {
        let claimed = store.claim("the worker", 1, LEASE).await.unwrap().pop().unwrap();
        assert!(leases.insert(claimed.lease.id));
        assert_eq!((claimed.attempt, claimed.max_attempts), (attempt, 100));
        assert_eq!((claimed.deadline, &claimed.spec), (new.deadline, &new.spec));
        let run = store.get(new.id).await;
        assert_eq!((run.status, run.worker.as_deref()), (RunStatus::Running, Some("the worker")));
        // The first claim's time stays.
        assert_eq!(run.started_at, *started_at.get_or_insert(run.started_at));
        assert!(run.started_at.is_some() && run.attempt == attempt);
        assert!(store.requeue(claimed.lease, &failure(), Duration::ZERO).await.unwrap());
        let waiting = store.get(new.id).await;
        assert_eq!((waiting.status, waiting.worker, waiting.attempt), (RunStatus::Queued, None, attempt));
        until(async || store.scan().await.unwrap().has_due).await;
    }
    let started = store.events_of(new.id).await;
    let started = started.iter().filter(|event| event.kind == EventKind::Started);
    assert!(started.clone().all(|event| event.data.worker_id.as_deref() == Some("the worker")));
    assert!(started.map(|event| event.data.attempt.unwrap()).eq(1..=20));
}

async fn a_heartbeat_tells_what_is_held_lost_and_to_be_stopped(store: TestStore) {
    let lost = store.submit_one(new_run()).await;
    let lost_lease = store.claim_and_lose().await.lease;
    assert_eq!(store.reap().await.unwrap(), 1);
    let taken_over = store.claim_one().await.lease;
    let (kept, stopped, ended) = (store.claimed().await, store.claimed().await.lease, store.claimed().await);
    store.cancel(stopped.run).await.unwrap();
    store.write(end(&ended, succeeded())).await;
    let unknown = Lease { run: RunId::new_v7(), id: LeaseId::new_random() };
    let wrong = Lease { run: kept.lease.run, id: stopped.id };
    let leases = [lost_lease, kept.lease, stopped, ended.lease, unknown, wrong];
    let held = store.heartbeat(&leases, LEASE).await.unwrap();
    let held: HashSet<_> = held.into_iter().map(|held| (held.lease, held.cancel_requested)).collect();
    assert_eq!(held, HashSet::from([(kept.lease, false), (stopped, true)]));
    assert_eq!(store.heartbeat(&[taken_over], LEASE).await.unwrap().len(), 1);
    assert_eq!(store.get(lost).await.attempt, 2);
}

async fn a_heartbeat_keeps_a_run_from_being_lost(store: TestStore) {
    let run = store.submit_one(new_run()).await;
    let claimed = store.claim_and_lose().await;
    // Nobody has settled it: whoever holds the lease may go on.
    assert_eq!(store.heartbeat(&[claimed.lease], LEASE).await.unwrap().len(), 1);
    assert!(!store.scan().await.unwrap().has_lost);
    assert_eq!(store.reap().await.unwrap(), 0);
    assert!(store.claim("other", 1, LEASE).await.unwrap().is_empty());
    assert!(store.write(end(&claimed, succeeded())).await);
    assert_eq!(store.get(run).await.status, RunStatus::Succeeded);
}

// Results and endings

async fn a_write_repeated_after_a_lost_answer_is_done_once(store: TestStore) {
    let claimed = store.claimed().await;
    let run = claimed.lease.run;
    let first = part(&claimed, [0, 1]);
    for _ in 0..3 {
        assert!(store.write(first.clone()).await);
    }
    assert!(store.write(part(&claimed, [2])).await);
    assert!(store.write(end(&claimed, succeeded())).await);
    let kinds = store.kinds(run).await;
    assert_eq!(kinds.iter().filter(|kind| **kind == EventKind::ResultCreated).count(), 3, "{kinds:?}");
}

async fn results_come_in_parts_before_the_end(store: TestStore) {
    let claimed = store.claimed().await;
    let run = claimed.lease.run;
    assert!(store.write(part(&claimed, [0, 1])).await);
    let progress = Some(Progress { done: 2, total: 10 });
    assert_eq!(store.get(run).await.progress, progress);
    assert_eq!(store.get(run).await.status, RunStatus::Running);
    assert_eq!(store.places(run).await, [0, 1]);
    // Results without news of the progress leave it as it is.
    assert!(store.write(Record { progress: None, ..part(&claimed, [4]) }).await);
    assert_eq!(store.get(run).await.progress, progress);
    let rest = Record { progress: None, ending: Some(succeeded()), ..part(&claimed, [2, 3]) };
    assert!(store.write(rest).await);
    assert_eq!(store.places(run).await, [0, 1, 2, 3, 4]);
    let finished = store.get(run).await;
    assert_eq!((finished.status, finished.progress, finished.worker), (RunStatus::Succeeded, None, None));
    use EventKind::{Progress as Progressed, Queued, ResultCreated, Started, Succeeded};
    let expected = [
        Queued,
        Started,
        ResultCreated,
        ResultCreated,
        Progressed,
        ResultCreated,
        ResultCreated,
        ResultCreated,
        Succeeded,
    ];
    assert_eq!(store.kinds(run).await, expected);
    let events = store.events_of(run).await;
    let created = events[2].data.result.as_ref().unwrap();
    assert_eq!(created.result_id, result(0).id(run));
    assert_eq!((&*created.eval_set_item_id, created.score), ("item 0", Some(0.5)));
    assert_eq!(events[4].data.progress, progress);
    assert_eq!(events[8].data.verdict, Some(Verdict::Passed));
}

/// Upstream's status updates are not fenced, and a stale worker's results mix with the new owner's.
async fn fault_2_an_old_lease_writes_nothing(store: TestStore) {
    let run = store.submit_one(new_run()).await;
    let old = store.claim_and_lose().await;
    store.reap().await.unwrap();
    let settled = (store.get(run).await, store.events_of(run).await);
    let attempts = || [part(&old, [0, 1]), end(&old, succeeded()), end(&old, Ending::Cancelled)];
    let refuses_all = async || {
        let before = (store.get(run).await, store.events_of(run).await, store.places(run).await);
        for record in attempts() {
            assert!(!store.write(record).await);
        }
        assert!(!store.requeue(old.lease, &failure(), Duration::ZERO).await.unwrap());
        store.release(&[old.lease]).await.unwrap();
        assert!(store.heartbeat(&[old.lease], LEASE).await.unwrap().is_empty());
        let after = (store.get(run).await, store.events_of(run).await, store.places(run).await);
        assert_eq!(before, after);
    };
    refuses_all().await;
    let new = store.claim_one().await;
    refuses_all().await;
    assert!(store.write(part(&new, [5])).await);
    refuses_all().await;
    assert!(store.write(end(&new, succeeded())).await);
    refuses_all().await;
    assert_eq!(store.places(run).await, [5]);
    assert_eq!(settled.0.status, RunStatus::Queued);
    // Not even when attempts are counted anew.
    let released = store.claimed().await;
    store.release(&[released.lease]).await.unwrap();
    let again = store.claim_one().await;
    assert_eq!(again.attempt, released.attempt);
    assert!(!store.write(end(&released, succeeded())).await);
    assert!(store.write(end(&again, failed())).await);
    assert_eq!(store.get(again.lease.run).await.status, RunStatus::Failed);
}

async fn results_are_listed_by_place_with_filters_and_in_pages(store: TestStore) {
    let claimed = store.claimed().await;
    let run = claimed.lease.run;
    let evaluators = ["tools", "rouge", "judge"];
    let statuses = [ResultStatus::Passed, ResultStatus::Failed, ResultStatus::Errored, ResultStatus::Skipped];
    let at = |place: u32| ResultRecord {
        evaluator_name: evaluators[place as usize % 3].to_owned(),
        status: statuses[place as usize % 4],
        ..result(place)
    };
    let mut places: Vec<_> = (0..48).collect();
    fastrand::shuffle(&mut places);
    for some in places.chunks(10) {
        let results = some.iter().map(|place| at(*place)).collect();
        assert!(store.write(Record { results, ..record(&claimed) }).await);
    }
    let list = async |filter: &ResultFilter| {
        let results = store.results(run, filter).await.unwrap();
        results.into_iter().map(|result| result.record.ordinal).collect::<Vec<_>>()
    };
    let where_ = |fits: &dyn Fn(u32) -> bool| (0..48).filter(|place| fits(*place)).collect::<Vec<_>>();
    assert_eq!(list(&all_results()).await, where_(&|_| true));
    let mut paged = Vec::new();
    let mut page = ResultFilter { limit: 7, ..ResultFilter::default() };
    while let found @ [.., last] = &*list(&page).await {
        paged.extend_from_slice(found);
        page.after = Some(*last);
    }
    assert_eq!(paged, where_(&|_| true));
    let failed = ResultFilter { statuses: vec![ResultStatus::Failed], ..all_results() };
    assert_eq!(list(&failed).await, where_(&|place| place % 4 == 1));
    let two = ResultFilter { statuses: vec![ResultStatus::Errored, ResultStatus::Skipped], ..all_results() };
    assert_eq!(list(&two).await, where_(&|place| place % 4 > 1));
    let rouge = ResultFilter { evaluators: vec!["rouge".to_owned()], ..all_results() };
    assert_eq!(list(&rouge).await, where_(&|place| place % 3 == 1));
    let both = ResultFilter { statuses: failed.statuses, after: Some(1), limit: 2, ..rouge };
    assert_eq!(list(&both).await, [13, 25]);
    let none = ResultFilter { evaluators: vec!["Rouge".to_owned()], ..all_results() };
    assert!(list(&none).await.is_empty());
    assert!(list(&ResultFilter { limit: 0, ..ResultFilter::default() }).await.is_empty());
}

/// Upstream deletes nothing on a new claim, and its upsert leaves most columns as they were.
async fn fault_10_results_of_an_earlier_attempt_are_gone_when_the_later_one_ended(store: TestStore) {
    let first = store.claimed().await;
    let run = first.lease.run;
    store.write(part(&first, 0..6)).await;
    store.requeue(first.lease, &failure(), Duration::ZERO).await.unwrap();
    until(async || store.scan().await.unwrap().has_due).await;
    let second = store.claim_one().await;
    let other = ResultRecord {
        item_id: "other item".to_owned(),
        item_name: "other name".to_owned(),
        eval_case_id: None,
        evaluator_name: "other".to_owned(),
        status: ResultStatus::Errored,
        score: None,
        per_invocation_scores: vec![],
        trace_id: None,
        span_id: Some("span".to_owned()),
        error_text: Some("why".to_owned()),
        latency_ms: None,
        ..result(2)
    };
    let partial = Record { results: vec![other.clone(), result(3)], ..record(&second) };
    assert!(store.write(partial).await);
    assert_eq!(store.places(run).await, [0, 1, 2, 3, 4, 5]);
    let rest = Record { results: vec![result(9)], ending: Some(succeeded()), ..record(&second) };
    assert!(store.write(rest).await);
    let stored = store.results(run, &all_results()).await.unwrap();
    let places: Vec<_> = stored.iter().map(|result| (result.record.ordinal, result.attempt)).collect();
    assert_eq!(places, [(2, 2), (3, 2), (9, 2)]);
    assert_eq!(format!("{:?}", stored[0].record), format!("{other:?}"));
}

/// As above, though both claims bear the same number.
async fn fault_10_results_from_before_a_release_are_gone_when_the_run_ended(store: TestStore) {
    let first = store.claimed().await;
    store.write(part(&first, 0..6)).await;
    store.release(&[first.lease]).await.unwrap();
    let second = store.claim_one().await;
    assert_eq!(first.attempt, second.attempt);
    let last = Record { ending: Some(succeeded()), ..part(&second, [2]) };
    assert!(store.write(last).await);
    assert_eq!(store.places(first.lease.run).await, [2]);
}

/// Upstream's insert fails on NaN, and with it the run.
async fn fault_16_scores_that_are_no_numbers_do_not_fail_a_run(store: TestStore) {
    let claimed = store.claimed().await;
    let run = claimed.lease.run;
    let scores =
        [Some(f64::NAN), Some(f64::INFINITY), Some(f64::NEG_INFINITY), None, Some(-0.0), Some(1e-300)];
    let results = (0..).zip(scores).map(|(place, score)| ResultRecord {
        score,
        per_invocation_scores: vec![score, Some(0.1), None],
        ..result(place)
    });
    let summary = Summary {
        per_metric: [(
            "m".to_owned(),
            MetricSummary { avg_score: Some(f64::NAN), ..MetricSummary::default() },
        )]
        .into(),
        ..Summary::default()
    };
    let ending = Some(Ending::Succeeded { verdict: Verdict::Errored, summary: Box::new(summary) });
    assert!(store.write(Record { results: results.collect(), ending, ..record(&claimed) }).await);
    let stored = store.results(run, &all_results()).await.unwrap();
    let shown = |value: &dyn Fn(&ResultRecord) -> serde_json::Value| {
        stored.iter().map(|stored| value(&stored.record)).collect::<Vec<_>>()
    };
    // As they are shown: JSON has no NaN.
    assert_eq!(
        shown(&|it| json!(it.score)),
        [json!(null), json!(null), json!(null), json!(null), json!(-0.0), json!(1e-300)]
    );
    assert_eq!(shown(&|it| json!(it.per_invocation_scores))[0], json!([null, 0.1, null]));
    let run = store.get(run).await;
    assert_eq!((run.status, run.verdict), (RunStatus::Succeeded, Some(Verdict::Errored)));
    assert_eq!(json!(run.summary.unwrap().per_metric["m"].avg_score), json!(null));
    assert_eq!(store.events_of(run.id).await.len(), 9);
}

async fn results_may_be_big_and_odd(store: TestStore) {
    let claimed = store.claimed().await;
    let run = claimed.lease.run;
    let big =
        format!("{{ \"z\": \"{}\",\t\"a\" : 1.00, \"a\": 9007199254740993 }}", "é\\u0000\\n".repeat(400_000));
    let details: Box<RawValue> = RawValue::from_string(big.clone()).unwrap();
    let odd = ResultRecord {
        item_id: ODD.to_owned(),
        item_name: ODD.to_owned(),
        eval_case_id: Some(ODD.to_owned()),
        evaluator_name: ODD.to_owned(),
        trace_id: Some(ODD.to_owned()),
        span_id: Some(ODD.to_owned()),
        error_text: Some(ODD.to_owned()),
        details: Some(details),
        latency_ms: Some(i64::MAX),
        ..result(u32::try_from(i32::MAX).unwrap())
    };
    let ending = Some(Ending::Failed(Failure::new("code", ODD)));
    assert!(store.write(Record { results: vec![odd], ending, ..record(&claimed) }).await);
    let stored = store.results(run, &all_results()).await.unwrap().pop().unwrap().record;
    // User JSON is never rewritten.
    assert!(stored.details.unwrap().get() == big);
    // PostgreSQL has no NUL.
    let same = |text: &str| assert_eq!(text.replace('\0', "\u{fffd}"), ODD.replace('\0', "\u{fffd}"));
    [&stored.item_id, &stored.item_name, &stored.evaluator_name].into_iter().for_each(|text| same(text));
    let optional = [&stored.eval_case_id, &stored.trace_id, &stored.span_id, &stored.error_text];
    optional.into_iter().for_each(|text| same(text.as_ref().unwrap()));
    assert_eq!(stored.latency_ms, Some(i64::MAX));
    same(&store.get(run).await.failure.unwrap().message);
    assert_eq!(store.events_of(run).await.len(), 4);
    // Filters take the same text.
    let filter = ResultFilter { evaluators: vec![ODD.to_owned()], ..all_results() };
    assert_eq!(store.results(run, &filter).await.unwrap().len(), 1);
    let claimed = store.claimed().await;
    assert!(store.requeue(claimed.lease, &Failure::new("code", ODD), Duration::ZERO).await.unwrap());
    same(store.events_of(claimed.lease.run).await[2].data.message.as_ref().unwrap());
}

async fn records_of_many_runs_are_written_together(store: TestStore) {
    store.submit_many(40).await;
    let claimed = store.claim("worker", 40, LEASE).await.unwrap();
    store.cancel(claimed[0].lease.run).await.unwrap();
    let (gone, kept) = claimed.split_at(10);
    for claimed in gone {
        assert!(store.write(end(claimed, failed())).await);
    }
    let before: Vec<_> = join_all(gone.iter().map(|it| store.events_of(it.lease.run))).await;
    let group: Vec<_> = (0..)
        .zip(&claimed)
        .map(|(number, claimed)| match number % 3 {
            0 => end(claimed, succeeded()),
            1 => part(claimed, 0..number),
            _ => Record { ending: Some(failed()), ..part(claimed, [number]) },
        })
        .collect();
    let held = store.write_all(group).await;
    assert_eq!(
        held,
        claimed.iter().map(|it| kept.iter().any(|kept| kept.lease == it.lease)).collect::<Vec<_>>()
    );
    let after: Vec<_> = join_all(gone.iter().map(|it| store.events_of(it.lease.run))).await;
    assert_eq!(before, after);
    for (number, claimed) in (0..).zip(&claimed).skip(10) {
        let run = claimed.lease.run;
        let places = store.places(run).await;
        let status = store.get(run).await.status;
        match number % 3 {
            0 => assert_eq!((status, places), (RunStatus::Succeeded, vec![])),
            1 => assert_eq!((status, places), (RunStatus::Running, (0..number).collect())),
            _ => assert_eq!((status, places), (RunStatus::Failed, vec![number])),
        }
        store.events_of(run).await;
    }
}

async fn every_ending_is_read_as_it_was_written(store: TestStore) {
    let counts = ResultCounts { passed: 1, failed: 2, errored: 3, skipped: 4 };
    let summary = Summary {
        trace_count: 7,
        result_counts: counts,
        per_metric: [("m".to_owned(), MetricSummary { counts, avg_score: Some(0.1) })].into(),
        agents: vec!["a".to_owned(), ODD.to_owned()],
        errors: vec!["e".to_owned()],
        warnings: vec!["w".to_owned()],
        unmatched_eval_cases: vec!["c".to_owned()],
        performance_metrics: Some(json!({"z": 1, "a": [null, 0.5]})),
    };
    for verdict in [Verdict::Passed, Verdict::Failed, Verdict::Errored] {
        let claimed = store.claimed().await;
        let ending = Ending::Succeeded { verdict, summary: Box::new(summary.clone()) };
        assert!(store.write(end(&claimed, ending)).await);
        let run = store.get(claimed.lease.run).await;
        assert_eq!((run.status, run.verdict, run.failure), (RunStatus::Succeeded, Some(verdict), None));
        assert_eq!(run.summary.as_ref(), Some(&summary));
        assert!(run.started_at >= Some(run.created_at) && run.finished_at >= run.started_at);
        assert!(!run.cancel_requested && run.attempt == 1 && run.worker.is_none());
        assert_eq!(store.kinds(run.id).await.last(), Some(&EventKind::Succeeded));
    }
    let claimed = store.claimed().await;
    assert!(store.write(end(&claimed, failed())).await);
    let run = store.get(claimed.lease.run).await;
    assert_eq!((run.status, run.verdict, run.failure), (RunStatus::Failed, None, Some(failure())));
    let event = store.events_of(run.id).await.pop().unwrap();
    assert_eq!((event.kind, event.data.attempt), (EventKind::Failed, Some(1)));
    assert_eq!((event.data.code, event.data.message), (Some(failure().code), Some(failure().message)));
    let claimed = store.claimed().await;
    assert!(store.write(end(&claimed, Ending::Cancelled)).await);
    let run = store.get(claimed.lease.run).await;
    assert_eq!((run.status, run.failure, run.cancel_requested), (RunStatus::Cancelled, None, true));
    assert_eq!(store.kinds(run.id).await.last(), Some(&EventKind::Cancelled));
    assert!(store.claim("worker", 10, LEASE).await.unwrap().is_empty());
}

// Back to the queue

async fn a_requeued_run_waits_and_the_attempt_counts(store: TestStore) {
    let claimed = store.claimed().await;
    let run = claimed.lease.run;
    store.write(part(&claimed, [0])).await;
    assert!(store.requeue(claimed.lease, &failure(), Duration::from_secs(3600)).await.unwrap());
    assert!(!store.requeue(claimed.lease, &failure(), Duration::ZERO).await.unwrap());
    let waiting = store.get(run).await;
    assert_eq!((waiting.status, waiting.attempt), (RunStatus::Queued, 1));
    assert_eq!((waiting.worker, waiting.progress), (None, None));
    assert!(waiting.started_at.is_some());
    assert!(store.claim("worker", 10, LEASE).await.unwrap().is_empty());
    let event = store.events_of(run).await.pop().unwrap();
    assert_eq!((event.kind, event.data.attempt), (EventKind::Requeued, Some(1)));
    assert_eq!((event.data.code, event.data.message), (Some(failure().code), Some(failure().message)));
    // A waiting run lets others pass, and can be cancelled.
    store.claimed().await;
    assert_eq!(store.cancel(run).await.unwrap().unwrap().status, RunStatus::Cancelled);
    let claimed = store.claimed().await;
    let (delay, started) = (Duration::from_millis(200), Instant::now());
    assert!(store.requeue(claimed.lease, &failure(), delay).await.unwrap());
    until(async || !store.claim("worker", 1, LEASE).await.unwrap().is_empty()).await;
    assert!(started.elapsed() >= delay);
    assert_eq!(store.get(claimed.lease.run).await.attempt, 2);
}

async fn a_run_that_is_to_be_stopped_is_not_requeued(store: TestStore) {
    let claimed = store.claimed().await;
    let run = claimed.lease.run;
    store.cancel(run).await.unwrap();
    assert!(!store.requeue(claimed.lease, &failure(), Duration::ZERO).await.unwrap());
    store.release(&[claimed.lease]).await.unwrap();
    let still = store.get(run).await;
    assert_eq!((still.status, still.attempt, still.cancel_requested), (RunStatus::Running, 1, true));
    assert_eq!(store.heartbeat(&[claimed.lease], Duration::ZERO).await.unwrap().len(), 1);
    until(async || store.reap().await.unwrap() == 1).await;
    assert_eq!(store.get(run).await.status, RunStatus::Cancelled);
}

/// Upstream cancels for good what it was executing at shutdown.
async fn fault_3_a_released_run_is_due_at_once_and_the_attempt_does_not_count(store: TestStore) {
    let new = Submission { max_attempts: 1, ..new_run() };
    let run = store.submit_one(new).await;
    for _ in 0..5 {
        let claimed = store.claim_one().await;
        assert_eq!(claimed.attempt, 1);
        store.write(part(&claimed, [0])).await;
        store.release(&[claimed.lease]).await.unwrap();
        let released = store.get(run).await;
        assert_eq!((released.status, released.attempt), (RunStatus::Queued, 0));
        assert_eq!((released.worker, released.progress), (None, None));
        assert!(store.scan().await.unwrap().has_due);
    }
    let events = store.events_of(run).await;
    let requeued = events.iter().filter(|event| event.kind == EventKind::Requeued);
    assert!(requeued.clone().all(|event| event.data.code.as_deref() == Some("shutdown")));
    assert_eq!(requeued.count(), 5);
    // Several at a time; those not held are passed over.
    store.submit_many(3).await;
    let claimed = store.claim("worker", 4, LEASE).await.unwrap();
    assert_eq!(claimed.len(), 4);
    assert!(store.write(end(&claimed[1], succeeded())).await);
    store.release(&claimed.iter().map(|it| it.lease).collect::<Vec<_>>()).await.unwrap();
    assert_eq!(store.get(claimed[1].lease.run).await.status, RunStatus::Succeeded);
    let again = store.claim("worker", 4, LEASE).await.unwrap();
    assert_eq!(
        ids(again.iter().map(|it| it.lease.run)),
        ids([0, 2, 3].map(|index| claimed[index].lease.run))
    );
}

async fn a_lost_run_is_queued_again_until_it_is_out_of_attempts(store: TestStore) {
    let run = store.submit_one(Submission { max_attempts: 2, ..new_run() }).await;
    store.claim_and_lose().await;
    assert_eq!(store.reap().await.unwrap(), 1);
    assert_eq!(store.reap().await.unwrap(), 0);
    let again = store.get(run).await;
    assert_eq!((again.status, again.attempt, again.failure), (RunStatus::Queued, 1, None));
    let scan = store.scan().await.unwrap();
    assert!(scan.has_due && !scan.has_lost);
    store.claim_and_lose().await;
    assert_eq!(store.reap().await.unwrap(), 1);
    let lost = store.get(run).await;
    assert_eq!((lost.status, lost.attempt), (RunStatus::Failed, 2));
    assert_eq!(lost.failure, Some(Failure::new(LEASE_LOST.0, LEASE_LOST.1)));
    assert!(lost.finished_at.is_some() && lost.worker.is_none());
    let events = store.events_of(run).await;
    use EventKind::{Failed, Queued, Requeued, Started};
    let kinds: Vec<_> = events.iter().map(|event| event.kind).collect();
    assert_eq!(kinds, [Queued, Started, Requeued, Started, Failed]);
    for (event, attempt) in [(&events[2], 1), (&events[4], 2)] {
        assert_eq!((event.data.code.as_deref(), event.data.attempt), (Some(LEASE_LOST.0), Some(attempt)));
        assert_eq!(event.data.message.as_deref(), Some(LEASE_LOST.1));
    }
}

async fn a_lost_run_that_is_to_be_stopped_is_cancelled(store: TestStore) {
    let run = store.submit_one(new_run()).await;
    let claimed = store.claim_and_lose().await;
    store.cancel(run).await.unwrap();
    assert_eq!(store.reap().await.unwrap(), 1);
    let settled = store.get(run).await;
    assert_eq!(
        (settled.status, settled.failure, settled.cancel_requested),
        (RunStatus::Cancelled, None, true)
    );
    assert_eq!(store.kinds(run).await.last(), Some(&EventKind::Cancelled));
    assert!(!store.write(end(&claimed, succeeded())).await);
}

async fn any_number_of_lost_runs_is_settled(store: TestStore) {
    let runs = store.submit_many(450).await;
    assert_eq!(store.claim("worker", 450, Duration::ZERO).await.unwrap().len(), 450);
    until(async || store.scan().await.unwrap().has_lost).await;
    let mut settled = 0;
    while store.scan().await.unwrap().has_lost {
        settled += store.reap().await.unwrap();
    }
    assert_eq!(settled, 450);
    let claimed = store.claim("worker", 1000, LEASE).await.unwrap();
    assert_eq!(ids(claimed.iter().map(|it| it.lease.run)), ids(runs));
}

// Cancel and retry

async fn cancelling_depends_on_the_status(store: TestStore) {
    let queued = store.submit_one(new_run()).await;
    for _ in 0..2 {
        let run = store.cancel(queued).await.unwrap().unwrap();
        assert_eq!((run.status, run.cancel_requested, run.attempt), (RunStatus::Cancelled, true, 0));
        assert!(run.finished_at.is_some() && run.started_at.is_none());
        assert_eq!(run, store.get(queued).await);
    }
    assert_eq!(store.kinds(queued).await, [EventKind::Queued, EventKind::Cancelled]);
    let claimed = store.claimed().await;
    assert_ne!(claimed.lease.run, queued);
    for _ in 0..2 {
        let run = store.cancel(claimed.lease.run).await.unwrap().unwrap();
        assert_eq!((run.status, run.cancel_requested), (RunStatus::Running, true));
    }
    let claimed = store.claimed().await;
    store.write(end(&claimed, succeeded())).await;
    let finished = store.get(claimed.lease.run).await;
    assert_eq!(store.cancel(claimed.lease.run).await.unwrap(), Some(finished));
}

/// Upstream's run ends as succeeded, with no results, when it is cancelled.
async fn fault_1_a_cancelled_run_is_cancelled_whatever_else_its_worker_writes(store: TestStore) {
    let claimed = store.claimed().await;
    let run = claimed.lease.run;
    store.write(part(&claimed, [0])).await;
    store.cancel(run).await.unwrap();
    assert!(store.heartbeat(&[claimed.lease], LEASE).await.unwrap()[0].cancel_requested);
    assert!(store.write(Record { ending: Some(Ending::Cancelled), ..part(&claimed, [1]) }).await);
    let cancelled = store.get(run).await;
    assert_eq!((cancelled.status, cancelled.verdict, cancelled.summary), (RunStatus::Cancelled, None, None));
    assert_eq!(store.places(run).await, [0, 1]);
}

async fn cancel_and_claim_at_the_same_time_never_both_lose(store: TestStore) {
    let store = Arc::new(store);
    let (mut before, mut after) = (0, 0);
    for _ in 0..200 {
        let run = store.submit_one(new_run()).await;
        let barrier = Arc::new(Barrier::new(2));
        let cancel = tokio::spawn({
            let (store, barrier) = (store.clone(), barrier.clone());
            async move {
                barrier.wait().await;
                store.cancel(run).await.unwrap().unwrap()
            }
        });
        barrier.wait().await;
        let claimed = store.claim("worker", 1, LEASE).await.unwrap();
        let cancelled = cancel.await.unwrap();
        let now = store.get(run).await;
        match &claimed[..] {
            [] => {
                before += 1;
                assert_eq!((cancelled.status, now.status), (RunStatus::Cancelled, RunStatus::Cancelled));
                assert_eq!(store.kinds(run).await, [EventKind::Queued, EventKind::Cancelled]);
            }
            [claimed] => {
                after += 1;
                assert_eq!((cancelled.status, cancelled.cancel_requested), (RunStatus::Running, true));
                assert!(store.heartbeat(&[claimed.lease], LEASE).await.unwrap()[0].cancel_requested);
                assert!(store.write(end(claimed, Ending::Cancelled)).await);
                assert_eq!(
                    store.kinds(run).await,
                    [EventKind::Queued, EventKind::Started, EventKind::Cancelled]
                );
            }
            _ => panic!("{claimed:?}"),
        }
    }
    assert_eq!(before + after, 200);
}

async fn failed_and_cancelled_runs_can_be_retried(store: TestStore) {
    let new = Submission { max_attempts: 2, priority: 3, ..new_run() };
    let run = store.submit_one(new.clone()).await;
    let refused = async || {
        let before = store.get(run).await;
        assert_eq!(store.retry(run).await.unwrap(), Some(Retried::Refused(before.clone())));
        assert_eq!(store.get(run).await, before);
    };
    refused().await;
    let first = store.claim_one().await;
    refused().await;
    store.write(Record { ending: Some(failed()), ..part(&first, [0, 1]) }).await;
    let started_at = store.get(run).await.started_at;
    let Some(Retried::Queued(queued)) = store.retry(run).await.unwrap() else { panic!() };
    assert_eq!(queued, store.get(run).await);
    assert_eq!((queued.status, queued.attempt, queued.failure.as_ref()), (RunStatus::Queued, 1, None));
    assert_eq!((queued.finished_at, queued.started_at), (None, started_at));
    // It has as many attempts again.
    store.claim_and_lose().await;
    store.reap().await.unwrap();
    assert_eq!(store.get(run).await.status, RunStatus::Queued);
    let third = store.claim_one().await;
    assert_eq!((third.attempt, third.max_attempts, &third.spec), (3, 3, &new.spec));
    store.cancel(run).await.unwrap();
    store.write(end(&third, Ending::Cancelled)).await;
    assert!(store.places(run).await.is_empty());
    assert!(matches!(store.retry(run).await.unwrap(), Some(Retried::Queued(run)) if !run.cancel_requested));
    store.cancel(run).await.unwrap();
    assert!(matches!(store.retry(run).await.unwrap(), Some(Retried::Queued(_))));
    let last = store.claim_one().await;
    assert_eq!(last.attempt, 4);
    assert!(store.write(end(&last, succeeded())).await);
    refused().await;
    use EventKind::{Cancelled, Failed, Queued, Requeued, ResultCreated, Started, Succeeded};
    let mut kinds = store.kinds(run).await;
    kinds.retain(|kind| *kind != ResultCreated);
    let expected = [
        Queued, Started, Failed, Queued, Started, Requeued, Started, Cancelled, Queued, Cancelled, Queued,
        Started, Succeeded,
    ];
    assert_eq!(kinds, expected);
}

async fn retries_at_the_same_time_queue_a_run_once(store: TestStore) {
    let claimed = store.claimed().await;
    store.write(end(&claimed, failed())).await;
    let run = claimed.lease.run;
    let retried = join_all((0..8).map(|_| store.retry(run))).await;
    let queued = retried.iter().filter(|it| matches!(it, Ok(Some(Retried::Queued(_))))).count();
    assert_eq!(queued, 1, "{retried:?}");
    assert_eq!(store.claim("worker", 10, LEASE).await.unwrap().len(), 1);
    store.events_of(run).await;
}

async fn a_scan_sees_what_is_due_lost_and_next(store: TestStore) {
    let seen = async || {
        let scan = store.scan().await.unwrap();
        (scan.has_due, scan.has_lost, scan.next_due.map(|due| due.as_secs().div_ceil(10) * 10))
    };
    assert_eq!(seen().await, (false, false, None));
    store.submit_one(new_run()).await;
    assert_eq!(seen().await, (true, false, None));
    let first = store.claim_for(Duration::from_secs(99)).await;
    assert_eq!(seen().await, (false, false, Some(100)));
    let second = store.claimed().await;
    assert!(store.requeue(second.lease, &failure(), Duration::from_secs(49)).await.unwrap());
    assert_eq!(seen().await, (false, false, Some(50)));
    store.submit_one(new_run()).await;
    assert_eq!(seen().await, (true, false, Some(50)));
    store.claim_and_lose().await;
    assert_eq!(seen().await, (false, true, Some(50)));
    store.reap().await.unwrap();
    assert_eq!(seen().await, (true, false, Some(50)));
    store.write(end(&first, succeeded())).await;
    let third = store.claim_one().await;
    store.write(end(&third, succeeded())).await;
    store.cancel(second.lease.run).await.unwrap();
    assert_eq!(seen().await, (false, false, None));
}

// Events

async fn events_are_numbered_without_gaps_through_every_change(store: TestStore) {
    let run = store.submit_one(Submission { max_attempts: 2, ..new_run() }).await;
    store.claim_and_lose().await;
    store.reap().await.unwrap();
    let claimed = store.claim_one().await;
    store.write(part(&claimed, [0, 1])).await;
    store.release(&[claimed.lease]).await.unwrap();
    let claimed = store.claim_one().await;
    store.write(record(&claimed)).await;
    store.requeue(claimed.lease, &failure(), Duration::ZERO).await.unwrap();
    store.cancel(run).await.unwrap();
    store.retry(run).await.unwrap();
    let claimed = store.claim_one().await;
    store.cancel(run).await.unwrap();
    store.write(Record { ending: Some(Ending::Cancelled), ..part(&claimed, [1, 2, 3]) }).await;
    store.retry(run).await.unwrap();
    for _ in 0..2 {
        store.claim_and_lose().await;
        store.reap().await.unwrap();
    }
    store.retry(run).await.unwrap();
    let claimed = store.claim_one().await;
    store.write(Record { ending: Some(succeeded()), ..part(&claimed, [7]) }).await;
    use EventKind::{Cancelled, Failed, Progress, Queued, Requeued, ResultCreated, Started, Succeeded};
    let expected = [
        Queued,
        Started,
        Requeued,
        Started,
        ResultCreated,
        ResultCreated,
        Progress,
        Requeued,
        Started,
        Requeued,
        Cancelled,
        Queued,
        Started,
        ResultCreated,
        ResultCreated,
        ResultCreated,
        Cancelled,
        Queued,
        Started,
        Requeued,
        Started,
        Failed,
        Queued,
        Started,
        ResultCreated,
        Succeeded,
    ];
    assert_eq!(store.kinds(run).await, expected);
    let events = store.events_of(run).await;
    assert!(events.is_sorted_by_key(|event| event.at));
}

async fn events_of_several_runs_come_in_order_up_to_a_limit(store: TestStore) {
    let mut runs = store.submit_many(3).await;
    for claimed in store.claim("worker", 3, LEASE).await.unwrap() {
        store.write(part(&claimed, [0, 1])).await;
    }
    fastrand::shuffle(&mut runs);
    let wanted = [(runs[0], 0), (runs[1], 3), (runs[2], 5), (RunId::new_v7(), 0)];
    let mut expected: Vec<_> = [(runs[0], 1..=5), (runs[1], 4..=5)]
        .into_iter()
        .flat_map(|(run, numbers)| numbers.map(move |seq| (run, seq)))
        .collect();
    expected.sort_unstable();
    for limit in [0, 1, 3, 7, 8] {
        let events = store.events(&wanted, limit).await.unwrap();
        let found: Vec<_> = events.iter().map(|event| (event.run, event.seq)).collect();
        assert_eq!(found, expected[..limit.min(7)]);
    }
}

async fn numbers_beyond_all_events_and_results_find_nothing(store: TestStore) {
    let claimed = store.claimed().await;
    store.write(part(&claimed, [0])).await;
    for number in [5, u32::MAX / 2, u32::MAX / 2 + 1, u32::MAX] {
        assert!(store.events(&[(claimed.lease.run, number)], 10).await.unwrap().is_empty(), "{number}");
        let filter = ResultFilter { after: Some(number), ..all_results() };
        assert!(store.results(claimed.lease.run, &filter).await.unwrap().is_empty(), "{number}");
    }
    let last = FeedPosition { transaction: u64::MAX, run: claimed.lease.run, seq: u32::MAX };
    assert!(store.feed(last, 10).await.unwrap().events.is_empty());
}

async fn the_feed_goes_on_from_any_position(store: TestStore) {
    let labels = [("team".to_owned(), "a".to_owned())];
    for _ in 0..3 {
        store.submit_one(Submission { labels: labels.clone().into(), ..new_run() }).await;
    }
    for claimed in store.claim("worker", 3, LEASE).await.unwrap() {
        store.write(Record { ending: Some(succeeded()), ..part(&claimed, [0, 1]) }).await;
    }
    // Transactions of other tests on the same server may hold the end back.
    until(async || store.feed(FeedPosition::START, 100).await.unwrap().events.len() == 15).await;
    let whole = store.feed(FeedPosition::START, 100).await.unwrap();
    assert!(!whole.has_more);
    assert!(whole.events.is_sorted_by_key(|event| event.position));
    assert!(whole.events.iter().all(|event| event.labels == labels.clone().into()));
    let key = |event: &agentevals::runs::FeedEvent| (event.position.run, event.position.seq);
    let distinct: HashSet<_> = whole.events.iter().map(key).collect();
    assert_eq!(distinct.len(), 15);
    for event in &whole.events {
        assert_eq!(key(event), (event.event.run, event.event.seq));
        assert_eq!(store.events_of(event.event.run).await[event.event.seq as usize - 1], event.event);
    }
    for (index, event) in whole.events.iter().enumerate() {
        for limit in [1, 4, 100] {
            let page = store.feed(event.position, limit).await.unwrap();
            let rest = &whole.events[index + 1..];
            assert_eq!(page.events, rest[..limit.min(rest.len())]);
            assert!(page.has_more || page.events.len() == rest.len());
        }
    }
    assert!(store.feed(FeedPosition::START, 14).await.unwrap().has_more);
}

async fn a_reader_of_the_feed_sees_each_event_of_many_writers_once(store: TestStore) {
    const WRITERS: usize = 6;
    const RUNS: usize = 25;
    let store = Arc::new(store);
    let write = |number: usize| {
        let store = store.clone();
        tokio::spawn(async move {
            for _ in 0..RUNS {
                store.submit_many(1 + number % 3).await;
                for claimed in store.claim("worker", 2, LEASE).await.unwrap() {
                    store.write(part(&claimed, [0, 1])).await;
                    store.write(end(&claimed, succeeded())).await;
                }
            }
        })
    };
    let writers = tokio::spawn(join_all((0..WRITERS).map(write)));
    let mut seen = Vec::new();
    let mut after = FeedPosition::START;
    let read = async {
        loop {
            let is_over = writers.is_finished();
            let page = store.feed(after, 1 + fastrand::usize(..50)).await.unwrap();
            after = page.events.last().map_or(after, |event| event.position);
            seen.extend(page.events.into_iter().map(|event| (event.event.run, event.event.seq)));
            if is_over && !page.has_more {
                break;
            }
        }
    };
    timeout(PATIENCE, read).await.unwrap();
    assert!(writers.await.unwrap().into_iter().all(|writer| writer.is_ok()));
    // Each run's events come in order.
    let mut last = std::collections::HashMap::new();
    for (run, seq) in &seen {
        assert_eq!(last.insert(*run, *seq).unwrap_or(0) + 1, *seq);
    }
    let runs = store.list(&RunFilter { limit: 10_000, ..RunFilter::default() }).await.unwrap();
    let mut expected = HashSet::new();
    for run in runs {
        expected.extend(store.events_of(run.id).await.into_iter().map(|event| (event.run, event.seq)));
    }
    assert_eq!(seen.len(), expected.len());
    assert_eq!(seen.into_iter().collect::<HashSet<_>>(), expected);
}

async fn the_end_of_the_feed_is_after_what_has_happened(store: TestStore) {
    assert!(store.feed(store.feed_end().await.unwrap(), 10).await.unwrap().events.is_empty());
    let old = store.submit_one(new_run()).await;
    let is_past = async || {
        let end = store.feed_end().await.unwrap();
        let page = store.feed(end, 10).await.unwrap();
        page.events.is_empty() && !page.has_more
    };
    until(is_past).await;
    let end = store.feed_end().await.unwrap();
    let new = store.submit_one(new_run()).await;
    until(async || !store.feed(end, 10).await.unwrap().events.is_empty()).await;
    let events = store.feed(end, 10).await.unwrap().events;
    assert_eq!(ids(events.iter().map(|event| event.event.run)), ids([new]));
    assert_ne!(old, new);
}

// Hints

async fn every_change_is_hinted(store: TestStore) {
    let mut hints = store.hints.subscribe();
    let is_due = |hint: &Hint| matches!(hint, Hint::Due(Duration::ZERO));
    let of = |run: RunId| move |hint: &Hint| matches!(hint, Hint::Events(runs) if runs.contains(&run));
    let first = new_run();
    store.submit_one(first.clone()).await;
    due_and_events(&mut hints, first.id).await;
    let claimed = store.claim_one().await;
    hinted(&mut hints, of(first.id)).await;
    store.write(part(&claimed, [0])).await;
    hinted(&mut hints, of(first.id)).await;
    store.cancel(first.id).await.unwrap();
    hinted(&mut hints, |hint| *hint == Hint::Cancel(first.id)).await;
    store.write(end(&claimed, Ending::Cancelled)).await;
    hinted(&mut hints, of(first.id)).await;
    store.retry(first.id).await.unwrap();
    due_and_events(&mut hints, first.id).await;
    let claimed = store.claim_one().await;
    hinted(&mut hints, of(first.id)).await;
    store.release(&[claimed.lease]).await.unwrap();
    due_and_events(&mut hints, first.id).await;
    let claimed = store.claim_one().await;
    hinted(&mut hints, of(first.id)).await;
    let delay = Duration::from_millis(1234);
    store.requeue(claimed.lease, &failure(), delay).await.unwrap();
    let mut seen = [hints.next().await, hints.next().await];
    seen.sort_by_key(|hint| matches!(hint, Hint::Events(_)));
    assert_eq!(seen[0], Hint::Due(delay));
    assert!(of(first.id)(&seen[1]));
    store.cancel(first.id).await.unwrap();
    hinted(&mut hints, of(first.id)).await;
    let second = store.submit_one(new_run()).await;
    due_and_events(&mut hints, second).await;
    store.claim_and_lose().await;
    hinted(&mut hints, of(second)).await;
    store.reap().await.unwrap();
    due_and_events(&mut hints, second).await;
    // One group, one hint of each kind; more runs than a payload holds are any run.
    let many = store.submit_many(300).await;
    let mut due = 0;
    let mut told = BTreeSet::new();
    timeout(PATIENCE, async {
        while due == 0 || !many.iter().all(|run| told.contains(run)) {
            match hints.next().await {
                hint if is_due(&hint) => due += 1,
                Hint::Events(runs) => told.extend(runs.iter().copied()),
                Hint::All => told.extend(many.iter().copied()),
                hint => panic!("{hint:?}"),
            }
        }
    })
    .await
    .unwrap();
    assert_eq!(due, 1);
}

async fn due_and_events(hints: &mut agentevals::runs::HintReceiver, run: RunId) {
    let (mut is_due, mut has_events) = (false, false);
    while !(is_due && has_events) {
        let hint = hinted(hints, |_| true).await;
        is_due |= hint == Hint::Due(Duration::ZERO);
        has_events |= matches!(&hint, Hint::Events(runs) if runs.contains(&run));
    }
}

async fn the_store_says_that_it_can_be_used(store: TestStore) {
    store.check().await.unwrap();
}

// In few words

fn ids(runs: impl IntoIterator<Item = RunId>) -> Vec<RunId> {
    runs.into_iter().collect()
}

async fn list(store: &TestStore, filter: &RunFilter) -> Vec<RunId> {
    store.list(filter).await.unwrap().into_iter().map(|run| run.id).collect()
}
