//! What every store does with messages to sinks; `fault_N` is explained in `mod.rs`.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use agentevals::ids::{LeaseId, RunId};
use agentevals::outbox::{MessageId, MessageLease, MessageState, Outbox, Phase, Room, Settlement};
use agentevals::queue::Record;
use agentevals::runs::{Ending, Hint, Runs, Verdict};
use agentevals::spec::{SinkKind, Submission};
use agentevals::storage::memory::{MemoryLimits, MemoryStore};
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::runs::{
    TestStore, end, failed, hinted, new_run, on_both, part, record, succeeded, until,
};
use crate::support::sinks::{DELIVERED, MARGIN, again, body, dead, room, states, webhook_to, with_sinks};

on_both! {
    a_run_without_sinks_writes_no_messages,
    fault_9_each_record_writes_its_new_results_and_the_end_writes_one_message_to_each_sink,
    fault_9_messages_are_written_with_the_change_or_not_at_all,
    an_end_that_no_worker_writes_is_told_of_as_well,
    what_goes_back_to_the_queue_is_not_told_of,
    a_run_that_is_retried_tells_its_sinks_again,
    a_message_is_claimed_with_all_that_a_sender_needs,
    only_the_first_message_in_line_can_be_claimed,
    what_waits_holds_up_its_own_line_and_no_other,
    what_is_refused_lets_the_rest_go_on,
    what_is_given_up_takes_those_behind_it_along_and_no_others,
    a_claim_that_ended_is_granted_again_and_the_old_one_writes_nothing,
    what_was_given_back_is_due_at_once_and_the_try_does_not_count,
    two_processes_never_claim_the_same_message,
    one_destination_takes_no_more_than_its_share,
    the_next_moment_to_look_is_known,
    messages_are_listed_in_pages_with_all_that_happened_to_them,
    dead_messages_are_queued_again,
    messages_that_are_named_are_queued_again_unless_pending,
    new_messages_are_hinted,
    messages_of_a_deleted_run_are_gone,
}

async fn claimed_with(store: &TestStore, new: Submission) -> agentevals::queue::Claimed {
    store.submit_one(new).await;
    store.claim_one().await
}

async fn a_run_without_sinks_writes_no_messages(store: TestStore) {
    let claimed = claimed_with(&store, new_run()).await;
    assert!(!claimed.has_sinks);
    assert!(store.write(part(&claimed, [0])).await);
    assert!(store.write(end(&claimed, succeeded())).await);
    assert!(store.all_messages(claimed.lease.run).await.is_empty());
    assert!(store.claim_due().await.is_empty());
}

async fn fault_9_each_record_writes_its_new_results_and_the_end_writes_one_message_to_each_sink(
    store: TestStore,
) {
    let claimed = claimed_with(&store, with_sinks(2)).await;
    let run = claimed.lease.run;
    assert!(claimed.has_sinks);
    assert!(store.write(part(&claimed, [0, 1])).await); // events 3, 4 and progress
    assert!(store.write(Record { progress: None, ..part(&claimed, []) }).await); // nothing new
    assert!(store.write(Record { ending: Some(succeeded()), ..part(&claimed, [2]) }).await); // events 6 and 7
    let events = store.events_of(run).await;
    let pending = MessageState::Pending;
    let expected = [4, 6, 7].map(|event| [(event, 0, pending), (event, 1, pending)]).concat();
    assert_eq!(states(&store.all_messages(run).await), expected);
    let mut told: BTreeMap<u16, Vec<Value>> = BTreeMap::new();
    for _ in 0..3 {
        for message in store.claim_due().await {
            let MessageId { event, sink, .. } = message.lease.message;
            let name = match message.phase {
                Phase::Partial => "result.created",
                Phase::Final => "run.succeeded",
                Phase::Error => "run.failed",
            };
            let kind = events[event as usize - 1].kind;
            assert_eq!(agentevals::names::name_of(&agentevals::runs::EventKind::NAMES, &kind), name);
            told.entry(sink).or_default().push(body(&message));
            store.settled(&message, &DELIVERED).await;
        }
    }
    assert_eq!(told[&0], told[&1]);
    let [first, second, last] = &told[&0][..] else { panic!("{told:#?}") };
    let stored = store.results(run, &crate::support::runs::all_results()).await.unwrap();
    for (partial, places) in [(first, &[0, 1][..]), (second, &[2])] {
        assert_eq!((&partial["phase"], &partial["attempt"]), (&json!("partial"), &json!(1)));
        assert_eq!(partial["run_id"], run.to_string());
        let results = partial["results"].as_array().unwrap();
        assert_eq!(results.len(), places.len());
        for (result, place) in results.iter().zip(places) {
            let record = &stored[*place].record;
            assert_eq!(result["resultId"], record.id(run));
            assert_eq!(result["evalSetItemName"], record.item_name);
            assert_eq!(result["perInvocationScores"], json!([0.25, null, 1.0]));
        }
    }
    let summary = json!({"trace_count": 0, "result_counts": {"passed": 0, "failed": 0, "errored": 0, "skipped": 0},
        "per_metric": {}, "agents": [], "errors": [], "performance_metrics": null});
    let expected = json!({"phase": "final", "run_id": run.to_string(), "attempt": 1, "verdict": "passed",
        "summary": summary});
    assert_eq!(*last, expected);
}

async fn fault_9_messages_are_written_with_the_change_or_not_at_all(store: TestStore) {
    let claimed = claimed_with(&store, with_sinks(1)).await;
    let run = claimed.lease.run;
    let stale =
        Record { lease: agentevals::queue::Lease { run, id: LeaseId::new_random() }, ..part(&claimed, [0]) };
    assert!(!store.write(stale).await);
    assert!(store.all_messages(run).await.is_empty());
    // One that is repeated because its answer was lost tells once.
    let again = part(&claimed, [0]);
    assert!(store.write(again.clone()).await);
    assert!(store.write(again).await);
    assert_eq!(store.all_messages(run).await.len(), 1);
    assert!(store.write(end(&claimed, failed())).await);
    assert!(!store.write(end(&claimed, succeeded())).await);
    let phases: Vec<_> = store.all_messages(run).await.iter().map(|message| message.phase).collect();
    assert_eq!(phases, [Phase::Partial, Phase::Error]);
}

/// What sinks are told of the end of a run, and that its number is that of the event.
async fn error_of(store: &TestStore, run: RunId) -> Value {
    let message = store.claim_message().await;
    assert_eq!((message.lease.message.run, message.phase), (run, Phase::Error));
    assert_eq!(message.lease.message.event as usize, store.events_of(run).await.len());
    store.settled(&message, &DELIVERED).await;
    let mut told = body(&message);
    assert_eq!(told["run_id"].take(), run.to_string());
    told
}

async fn an_end_that_no_worker_writes_is_told_of_as_well(store: TestStore) {
    let error = |attempt: u32, error: &str, code: &str| json!({"phase": "error", "run_id": null, "attempt": attempt, "error": error, "code": code});
    let cancelled = |attempt| error(attempt, "the run was cancelled", "cancelled");
    // Cancelled in the queue.
    let run = store.submit_one(with_sinks(1)).await;
    store.cancel(run).await.unwrap();
    assert_eq!(error_of(&store, run).await, cancelled(0));
    store.cancel(run).await.unwrap();
    assert_eq!(store.all_messages(run).await.len(), 1);
    // Out of attempts.
    let run = store.submit_one(Submission { max_attempts: 1, ..with_sinks(1) }).await;
    store.claim_and_lose().await;
    store.reap().await.unwrap();
    assert_eq!(error_of(&store, run).await, error(1, "its worker stopped responding", "lease_lost"));
    // Cancelled, and its worker is gone.
    let run = store.submit_one(with_sinks(1)).await;
    store.claim_and_lose().await;
    store.cancel(run).await.unwrap();
    store.reap().await.unwrap();
    assert_eq!(error_of(&store, run).await, cancelled(1));
    // Cancelled and failed by its worker.
    let claimed = claimed_with(&store, with_sinks(1)).await;
    store.write(end(&claimed, Ending::Cancelled)).await;
    assert_eq!(error_of(&store, claimed.lease.run).await, cancelled(1));
    let claimed = claimed_with(&store, with_sinks(1)).await;
    store.write(end(&claimed, failed())).await;
    let expected = error(1, "the server of the traces answered 503", "fetch_failed");
    assert_eq!(error_of(&store, claimed.lease.run).await, expected);
}

async fn what_goes_back_to_the_queue_is_not_told_of(store: TestStore) {
    let run = store.submit_one(with_sinks(1)).await;
    let claimed = store.claim_one().await;
    store.release(&[claimed.lease]).await.unwrap();
    let claimed = store.claim_one().await;
    store.requeue(claimed.lease, &crate::support::runs::failure(), Duration::ZERO).await.unwrap();
    store.claim_and_lose().await;
    store.reap().await.unwrap();
    assert!(store.all_messages(run).await.is_empty());
    let claimed = store.claim_one().await;
    assert!(claimed.has_sinks, "it still has them");
    store.cancel(run).await.unwrap();
    assert!(store.all_messages(run).await.is_empty(), "its worker will tell");
}

async fn a_run_that_is_retried_tells_its_sinks_again(store: TestStore) {
    let claimed = claimed_with(&store, with_sinks(1)).await;
    let run = claimed.lease.run;
    store.write(end(&claimed, failed())).await;
    store.retry(run).await.unwrap();
    let claimed = store.claim_one().await;
    assert!(claimed.has_sinks);
    store.write(Record { ending: Some(succeeded()), ..part(&claimed, [0]) }).await;
    let told: Vec<_> =
        store.all_messages(run).await.iter().map(|message| (message.id.event, message.phase)).collect();
    assert_eq!(told, [(3, Phase::Error), (6, Phase::Partial), (7, Phase::Final)]);
    // A run without sinks has none after a retry either.
    let claimed = claimed_with(&store, new_run()).await;
    store.write(end(&claimed, failed())).await;
    store.retry(claimed.lease.run).await.unwrap();
    assert!(!store.claim_one().await.has_sinks);
}

async fn a_message_is_claimed_with_all_that_a_sender_needs(store: TestStore) {
    let new = with_sinks(3);
    let sinks = new.sinks.clone();
    let claimed = claimed_with(&store, new).await;
    store.write(end(&claimed, failed())).await;
    let messages = store.claim_due().await;
    for (place, (message, sink)) in messages.iter().zip(&sinks).enumerate() {
        assert_eq!(message.sink, *sink);
        assert_eq!((message.lease.message.sink, message.try_number), (place as u16, 1));
    }
    let leases: HashSet<_> = messages.iter().map(|message| message.lease.id).collect();
    assert_eq!(leases.len(), 3);
}

/// A run with one sink and messages of the events 3, 5 and 6.
async fn three_in_line(store: &TestStore) -> RunId {
    let claimed = claimed_with(store, with_sinks(1)).await;
    store.write(part(&claimed, [0])).await;
    store.write(Record { ending: Some(succeeded()), ..part(&claimed, [1]) }).await;
    claimed.lease.run
}

async fn only_the_first_message_in_line_can_be_claimed(store: TestStore) {
    let run = three_in_line(&store).await;
    for event in [3, 5, 6] {
        let message = store.claim_message().await;
        assert_eq!(message.lease.message, MessageId { run, event, sink: 0 });
        assert!(store.claim_due().await.is_empty(), "it is held");
        store.settled(&message, &DELIVERED).await;
        assert!(!store.settle_message(message.lease, &DELIVERED).await.unwrap(), "once");
    }
    assert!(store.claim_due().await.is_empty());
    assert!(store.all_messages(run).await.iter().all(|message| message.state == MessageState::Delivered));
}

async fn what_waits_holds_up_its_own_line_and_no_other(store: TestStore) {
    let claimed = claimed_with(&store, with_sinks(2)).await;
    let run = claimed.lease.run;
    store.write(part(&claimed, [0])).await;
    let messages = store.claim_due().await;
    store.settled(&messages[0], &again(MARGIN)).await;
    store.settled(&messages[1], &DELIVERED).await;
    store.write(end(&claimed, succeeded())).await;
    // The other sink gets on.
    let message = store.claim_message().await;
    assert_eq!(message.lease.message, MessageId { run, event: 5, sink: 1 });
    // A short wait is soon over, and what came meanwhile follows.
    let run = three_in_line(&store).await;
    let first = store.claim_message().await;
    store.settled(&first, &again(Duration::from_millis(500))).await;
    assert!(store.claim_due().await.is_empty());
    until(async || store.next_message().await.unwrap().is_none_or(|next| next > Duration::from_secs(1)))
        .await;
    let second = store.claim_message().await;
    assert_eq!((second.lease.message, second.try_number), (first.lease.message, 2));
    assert_eq!(second.body, first.body);
    store.settled(&second, &DELIVERED).await;
    assert_eq!(store.claim_message().await.lease.message, MessageId { run, event: 5, sink: 0 });
}

async fn what_is_given_up_takes_those_behind_it_along_and_no_others(store: TestStore) {
    let claimed = claimed_with(&store, with_sinks(2)).await;
    store.write(part(&claimed, [0])).await;
    store.write(end(&claimed, succeeded())).await;
    let run = claimed.lease.run;
    let messages = store.claim_due().await;
    let first = messages.iter().find(|message| message.lease.message.sink == 0).unwrap();
    let given_up = Settlement::GivenUp { status: Some(503), error: "given up".to_owned() };
    store.settled(first, &given_up).await;
    for message in store.all_messages(run).await {
        let expected = if message.id.sink == 0 { MessageState::Dead } else { MessageState::Pending };
        assert_eq!(message.state, expected, "{message:#?}");
        assert_eq!(message.last_error.as_deref(), (message.id.sink == 0).then_some("given up"));
        assert_eq!(message.settled_at.is_some(), message.id.sink == 0);
    }
    // Sent again, they come in order.
    assert_eq!(store.redeliver(run, None).await.unwrap().len(), 2);
    let again = store.claim_due().await;
    assert_eq!(again.iter().map(|message| message.phase).collect::<Vec<_>>(), [Phase::Partial]);
}

async fn what_is_refused_lets_the_rest_go_on(store: TestStore) {
    let run = three_in_line(&store).await;
    // Those behind it have waited with it.
    let first = store.claim_message().await;
    store.settled(&first, &again(Duration::ZERO)).await;
    until(async || {
        let claimed = store.claim_due().await;
        let Some(first) = claimed.first() else { return false };
        store.settle_message(first.lease, &dead()).await.unwrap()
    })
    .await;
    let second = store.claim_message().await;
    assert_eq!(second.lease.message.event, 5);
    let messages = store.all_messages(run).await;
    let [first, second, third] = &messages[..] else { panic!() };
    assert_eq!((first.state, first.tries, first.last_status), (MessageState::Dead, 2, Some(400)));
    assert_eq!(first.last_error.as_deref(), Some("answered 400"));
    assert!(first.settled_at.is_some() && first.next_try_at.is_none());
    assert_eq!((second.state, second.tries), (MessageState::Pending, 1));
    assert_eq!((third.state, third.tries, third.next_try_at), (MessageState::Pending, 0, None));
}

async fn a_claim_that_ended_is_granted_again_and_the_old_one_writes_nothing(store: TestStore) {
    let run = three_in_line(&store).await;
    let lost = store.claim_messages(&room(), Duration::ZERO).await.unwrap().remove(0);
    until(async || !store.claim_messages(&room(), MARGIN).await.unwrap().is_empty()).await;
    assert!(!store.settle_message(lost.lease, &DELIVERED).await.unwrap());
    assert!(!store.settle_message(lost.lease, &Settlement::GivenBack).await.unwrap());
    let forged = MessageLease { id: LeaseId::new_random(), ..lost.lease };
    assert!(!store.settle_message(forged, &dead()).await.unwrap());
    let message = &store.all_messages(run).await[0];
    assert_eq!((message.state, message.tries), (MessageState::Pending, 2));
}

async fn what_was_given_back_is_due_at_once_and_the_try_does_not_count(store: TestStore) {
    let run = three_in_line(&store).await;
    let first = store.claim_message().await;
    store.settled(&first, &again(Duration::ZERO)).await;
    let mut claimed = store.claim_due().await;
    while claimed.is_empty() {
        claimed = store.claim_due().await; // its time has come when the clock has moved on
    }
    let second = claimed.remove(0);
    store.settled(&second, &Settlement::GivenBack).await;
    let message = &store.all_messages(run).await[0];
    assert_eq!((message.tries, message.last_status), (1, Some(503)), "the first one stands");
    assert_eq!(message.last_error.as_deref(), Some("answered 503"));
    assert_eq!(store.claim_message().await.try_number, 2);
}

async fn two_processes_never_claim_the_same_message(store: TestStore) {
    let runs: Vec<_> = (0..40).map(|_| with_sinks(3)).collect();
    store.submit(&runs).await.unwrap();
    let claimed = store.claim("worker", 40, MARGIN).await.unwrap();
    store.write_all(claimed.iter().map(|claimed| end(claimed, failed()))).await;
    let some = Room { total: 7, ..room() };
    let deliver = async || {
        let mut got = Vec::new();
        loop {
            let claimed = store.claim_messages(&some, MARGIN).await.unwrap();
            if claimed.is_empty() {
                return got;
            }
            got.extend(claimed.iter().map(|claimed| claimed.lease.message));
        }
    };
    let mut got = join_all((0..4).map(|_| deliver())).await.concat();
    // One that found everything locked by the others may have stopped early.
    got.extend(deliver().await);
    assert_eq!(got.len(), 120);
    assert_eq!(got.iter().collect::<HashSet<_>>().len(), 120);
}

async fn one_destination_takes_no_more_than_its_share(store: TestStore) {
    let runs: Vec<_> = ["slow", "slow", "slow", "slow", "quick", "busy"]
        .map(|host| Submission { sinks: vec![webhook_to(host)], ..new_run() })
        .into();
    store.submit(&runs).await.unwrap();
    let claimed = store.claim("worker", 6, MARGIN).await.unwrap();
    store.write_all(claimed.iter().map(|claimed| end(claimed, failed()))).await;
    let destinations = async |room: &Room| {
        let claimed = store.claim_messages(room, MARGIN).await.unwrap();
        let mut names: Vec<_> = claimed.into_iter().map(|claimed| claimed.sink.destination).collect();
        names.sort();
        names
    };
    let left: HashMap<_, _> = [("https://busy".to_owned(), 0)].into();
    let room = |left: &HashMap<String, usize>| Room { total: 5, per_destination: 2, left: left.clone() };
    assert_eq!(destinations(&room(&left)).await, ["https://quick", "https://slow", "https://slow"]);
    let left: HashMap<_, _> = [("https://slow".to_owned(), 1)].into();
    assert_eq!(destinations(&room(&left)).await, ["https://busy", "https://slow"]);
    assert_eq!(destinations(&room(&HashMap::new())).await, ["https://slow"]);
}

async fn the_next_moment_to_look_is_known(store: TestStore) {
    assert_eq!(store.next_message().await.unwrap(), None);
    let claimed = claimed_with(&store, with_sinks(2)).await;
    store.write(end(&claimed, failed())).await;
    assert_eq!(store.next_message().await.unwrap(), None, "it is due now");
    let messages = store.claim_due().await;
    store.settled(&messages[0], &again(Duration::from_secs(60))).await;
    let next = store.next_message().await.unwrap().unwrap();
    assert!((Duration::from_secs(50)..=Duration::from_secs(60)).contains(&next), "{next:?}");
    let waiting = store.all_messages(claimed.lease.run).await[0].next_try_at.unwrap();
    let wait = (waiting - chrono::Utc::now()).num_seconds();
    assert!((45..=60).contains(&wait), "{wait}");
}

async fn messages_are_listed_in_pages_with_all_that_happened_to_them(store: TestStore) {
    let claimed = claimed_with(&store, with_sinks(2)).await;
    let run = claimed.lease.run;
    store.write(part(&claimed, [0])).await;
    store.write(Record { ending: Some(succeeded()), ..record(&claimed) }).await;
    let message = store.claim_due().await.remove(1);
    store.settled(&message, &Settlement::Delivered { status: Some(204) }).await;
    let all = store.all_messages(run).await;
    let places: Vec<_> = all.iter().map(|message| (message.id.event, message.id.sink)).collect();
    assert_eq!(places, [(3, 0), (3, 1), (5, 0), (5, 1)]);
    for after in 0..4 {
        let page = store.messages(run, Some(places[after]), 2).await.unwrap();
        assert_eq!(page, all[after + 1..].iter().take(2).cloned().collect::<Vec<_>>());
    }
    let delivered = &all[1];
    assert_eq!((delivered.kind, &*delivered.destination), (SinkKind::HttpWebhook, "https://h1"));
    assert_eq!((delivered.state, delivered.tries), (MessageState::Delivered, 1));
    assert_eq!((delivered.last_status, &delivered.last_error), (Some(204), &None));
    assert!(delivered.settled_at.unwrap() >= delivered.created_at);
    assert!(store.messages(RunId::new_v7(), None, 10).await.unwrap().is_empty());
}

async fn dead_messages_are_queued_again(store: TestStore) {
    let run = three_in_line(&store).await;
    for settlement in [dead(), DELIVERED, dead()] {
        let message = store.claim_message().await;
        store.settled(&message, &settlement).await;
    }
    let other = three_in_line(&store).await;
    let message = store.claim_message().await;
    store.settled(&message, &dead()).await;
    let mut hints = store.hints.subscribe();
    let queued = store.redeliver(run, None).await.unwrap();
    hinted(&mut hints, |hint| *hint == Hint::Messages).await;
    let pending = MessageState::Pending;
    assert_eq!(states(&queued), [(3, 0, pending), (6, 0, pending)]);
    assert!(queued.iter().all(|message| message.tries == 0 && message.settled_at.is_none()));
    assert_eq!(store.redeliver(run, None).await.unwrap(), []);
    assert_eq!(store.all_messages(other).await[0].state, MessageState::Dead);
    let message =
        store.claim_due().await.into_iter().find(|message| message.lease.message.run == run).unwrap();
    assert_eq!((message.lease.message.event, message.try_number), (3, 1));
    store.settled(&message, &DELIVERED).await;
    assert_eq!(store.claim_message().await.lease.message.event, 6);
}

async fn messages_that_are_named_are_queued_again_unless_pending(store: TestStore) {
    let run = three_in_line(&store).await;
    for settlement in [DELIVERED, dead()] {
        let message = store.claim_message().await;
        store.settled(&message, &settlement).await;
    }
    let id = |event, sink| MessageId { run, event, sink };
    let foreign = MessageId { run: RunId::new_v7(), ..id(5, 0) };
    assert_eq!(store.redeliver(run, Some(&[])).await.unwrap(), []);
    assert_eq!(store.redeliver(run, Some(&[id(6, 0), id(4, 0), id(3, 1), foreign])).await.unwrap(), []);
    let queued = store.redeliver(run, Some(&[id(6, 0), id(3, 0)])).await.unwrap();
    assert_eq!(states(&queued), [(3, 0, MessageState::Pending)]);
    assert_eq!(store.claim_message().await.lease.message, id(3, 0), "before what is pending");
}

async fn new_messages_are_hinted(store: TestStore) {
    let mut hints = store.hints.subscribe();
    let silent = claimed_with(&store, new_run()).await;
    store.write(Record { ending: Some(failed()), ..part(&silent, [0]) }).await;
    let claimed = claimed_with(&store, with_sinks(1)).await;
    let run = claimed.lease.run;
    let mut told = 0;
    while told < 2 {
        // Submitted, claimed.
        let hint = hinted(&mut hints, |_| true).await;
        assert_ne!(hint, Hint::Messages);
        told += usize::from(matches!(hint, Hint::Events(runs) if runs.contains(&run)));
    }
    store.write(part(&claimed, [0])).await;
    hinted(&mut hints, |hint| *hint == Hint::Messages).await;
    store.write(end(&claimed, Ending::Succeeded { verdict: Verdict::Failed, summary: Box::default() })).await;
    hinted(&mut hints, |hint| *hint == Hint::Messages).await;
    let queued = store.submit_one(with_sinks(1)).await;
    store.cancel(queued).await.unwrap();
    hinted(&mut hints, |hint| *hint == Hint::Messages).await;
}

async fn messages_of_a_deleted_run_are_gone(store: TestStore) {
    let run = three_in_line(&store).await;
    let message = store.claim_message().await;
    store.delete(run).await.unwrap();
    assert!(!store.settle_message(message.lease, &again(Duration::ZERO)).await.unwrap());
    assert!(store.all_messages(run).await.is_empty() && store.claim_due().await.is_empty());
    assert_eq!(store.next_message().await.unwrap(), None);
    assert_eq!(store.redeliver(run, None).await.unwrap(), []);
}

#[tokio::test]
async fn messages_of_a_run_that_memory_forgets_are_gone() {
    let hints = agentevals::runs::Hints::default();
    let store = MemoryStore::new(MemoryLimits { runs: 1, ..MemoryLimits::default() }, hints);
    let run = with_sinks(2);
    store.submit(std::slice::from_ref(&run)).await.unwrap();
    store.cancel(run.id).await.unwrap();
    assert_eq!(store.messages(run.id, None, 10).await.unwrap().len(), 2);
    let refused = store.submit(&[new_run()]).await.unwrap_err();
    assert!(matches!(refused, agentevals::runs::StoreError::Full(_)), "messages are on their way: {refused}");
    for message in store.claim_messages(&room(), MARGIN).await.unwrap() {
        assert!(store.settle_message(message.lease, &DELIVERED).await.unwrap());
    }
    store.submit(&[new_run()]).await.unwrap();
    assert!(store.messages(run.id, None, 10).await.unwrap().is_empty());
    assert!(store.claim_messages(&room(), MARGIN).await.unwrap().is_empty());
}
