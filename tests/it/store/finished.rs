//! Runs that are over when they are stored, and finding runs by what they were about; `fault_N` is explained in `mod.rs`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use agentevals::ids::RunId;
use agentevals::runs::{
    Ending, EventKind, Hint, ResultFilter, ResultRecord, ResultStatus, Retried, Run, RunFilter, RunStatus,
    Summary, Verdict,
};
use agentevals::spec::{Submission, TargetKind};
use agentevals::uploads::FinishedRun;
use chrono::TimeDelta;
use serde_json::json;
use serde_json::value::RawValue;

use crate::support::runs::{
    LEASE, TestStore, all_results, end, failure, hinted, new_run, on_both, part, result, succeeded, until,
};

on_both! {
    a_finished_run_is_stored_whole,
    fault_5_no_worker_can_ever_claim_a_finished_run,
    fault_11_a_finished_run_began_when_its_evaluation_did,
    fault_16_numbers_that_json_lacks_do_not_keep_a_finished_run_from_being_stored,
    a_finished_run_that_failed_says_why,
    a_finished_run_stored_again_after_a_lost_answer_is_stored_once,
    a_finished_run_is_told_of_and_over,
    uploaded_runs_are_never_retried,
    finished_runs_may_be_odd,
    fault_9_runs_are_found_by_eval_set_agent_and_kind,
    fault_14_results_are_found_by_eval_case,
}

fn finished(results: Vec<ResultRecord>, ending: Ending) -> FinishedRun {
    FinishedRun {
        id: RunId::new_v7(),
        spec: r#"{"target":{"kind":"uploaded","traceCount":1,"traceFiles":["a.json"]}}"#.to_owned(),
        digest: [7; 32],
        deadline: Duration::from_secs(300),
        eval_set_id: Some("golden".to_owned()),
        worker: "sync:/api/evaluate".to_owned(),
        elapsed: Duration::from_millis(2500),
        results,
        ending,
    }
}

fn of_agent(agent: &str) -> Ending {
    let summary = Summary { agents: vec!["other".to_owned(), agent.to_owned()], ..Summary::default() };
    Ending::Succeeded { verdict: Verdict::Failed, summary: Box::new(summary) }
}

async fn a_finished_run_is_stored_whole(store: TestStore) {
    let recorded = finished(vec![result(0), result(1)], of_agent("weather"));
    store.record_finished(&recorded).await.unwrap();
    let run = store.get(recorded.id).await;
    let Ending::Succeeded { summary, .. } = &recorded.ending else { unreachable!() };
    let expected = Run {
        id: recorded.id,
        status: RunStatus::Succeeded,
        verdict: Some(Verdict::Failed),
        attempt: 1,
        max_attempts: 1,
        priority: 0,
        deadline: Duration::from_secs(300),
        labels: Default::default(),
        target_kind: TargetKind::Uploaded,
        eval_set_id: Some("golden".to_owned()),
        worker: None,
        progress: None,
        failure: None,
        summary: Some((**summary).clone()),
        created_at: run.created_at,
        started_at: run.started_at,
        finished_at: run.finished_at,
        cancel_requested: false,
    };
    assert_eq!(run, expected);
    assert_eq!(store.spec(run.id).await.unwrap().unwrap(), recorded.spec);
    let results = store.results(run.id, &all_results()).await.unwrap();
    let shown = |record: &ResultRecord| format!("{record:?}");
    let stored: Vec<_> = results.iter().map(|stored| shown(&stored.record)).collect();
    assert_eq!(stored, recorded.results.iter().map(shown).collect::<Vec<_>>());
    assert!(results.iter().all(|stored| stored.attempt == 1));
    let events = store.events_of(run.id).await;
    let kinds: Vec<_> = events.iter().map(|event| event.kind).collect();
    assert_eq!(
        kinds,
        [EventKind::Started, EventKind::ResultCreated, EventKind::ResultCreated, EventKind::Succeeded]
    );
    assert_eq!(events.iter().map(|event| event.seq).collect::<Vec<_>>(), [1, 2, 3, 4]);
    assert_eq!(events[0].data.worker_id.as_deref(), Some("sync:/api/evaluate"));
    assert_eq!(events[3].data.verdict, Some(Verdict::Failed));
}

async fn fault_5_no_worker_can_ever_claim_a_finished_run(store: TestStore) {
    let store = Arc::new(store);
    let is_over = Arc::new(AtomicBool::new(false));
    let idle = tokio::spawn({
        let (store, is_over) = (store.clone(), is_over.clone());
        async move {
            let mut claimed = Vec::new();
            while !is_over.load(Ordering::Relaxed) {
                claimed.extend(store.claim("idle/0", 10, LEASE).await.unwrap());
                tokio::task::yield_now().await;
            }
            claimed.extend(store.claim("idle/0", 10, LEASE).await.unwrap());
            claimed
        }
    });
    let recorded: Vec<_> = (0..50).map(|_| finished(vec![result(0)], succeeded())).collect();
    for run in &recorded {
        store.record_finished(run).await.unwrap();
    }
    is_over.store(true, Ordering::Relaxed);
    assert!(idle.await.unwrap().is_empty());
    let scan = store.scan().await.unwrap();
    assert_eq!((scan.has_due, scan.has_lost, scan.next_due), (false, false, None), "{scan:?}");
    assert_eq!(store.reap().await.unwrap(), 0);
    for run in &recorded {
        assert_eq!(store.get(run.id).await.status, RunStatus::Succeeded);
    }
}

async fn fault_11_a_finished_run_began_when_its_evaluation_did(store: TestStore) {
    let recorded = finished(vec![], succeeded());
    store.record_finished(&recorded).await.unwrap();
    let run = store.get(recorded.id).await;
    let (began, ended) = (run.started_at.unwrap(), run.finished_at.unwrap());
    assert_eq!(ended - began, TimeDelta::milliseconds(2500));
    assert_eq!(run.created_at, began);
    let events = store.events_of(recorded.id).await;
    assert_eq!((events[0].at, events[1].at), (began, ended));
}

async fn fault_16_numbers_that_json_lacks_do_not_keep_a_finished_run_from_being_stored(store: TestStore) {
    let odd = ResultRecord {
        score: Some(f64::NAN),
        per_invocation_scores: vec![Some(f64::NAN), Some(f64::INFINITY), Some(0.5)],
        details: Some(RawValue::from_string(r#"{"a":null}"#.to_owned()).unwrap()),
        ..result(0)
    };
    let recorded = finished(vec![odd], succeeded());
    store.record_finished(&recorded).await.unwrap();
    let results = store.results(recorded.id, &all_results()).await.unwrap();
    assert_eq!(json!(results[0].record.score), json!(null));
    assert_eq!(json!(results[0].record.per_invocation_scores), json!([null, null, 0.5]));
}

async fn a_finished_run_that_failed_says_why(store: TestStore) {
    let recorded = finished(vec![], Ending::Failed(failure()));
    store.record_finished(&recorded).await.unwrap();
    let run = store.get(recorded.id).await;
    assert_eq!((run.status, run.failure, run.verdict), (RunStatus::Failed, Some(failure()), None));
    assert_eq!(store.kinds(recorded.id).await, [EventKind::Started, EventKind::Failed]);
}

async fn a_finished_run_stored_again_after_a_lost_answer_is_stored_once(store: TestStore) {
    let recorded = finished(vec![result(0)], succeeded());
    store.record_finished(&recorded).await.unwrap();
    let before = store.get(recorded.id).await;
    store.record_finished(&recorded).await.unwrap();
    assert_eq!(store.get(recorded.id).await, before);
    assert_eq!(store.events_of(recorded.id).await.len(), 3);
    assert_eq!(store.list(&RunFilter { limit: 10, ..RunFilter::default() }).await.unwrap().len(), 1);
}

async fn a_finished_run_is_told_of_and_over(store: TestStore) {
    let mut hints = store.hints.subscribe();
    let position = store.feed_end().await.unwrap();
    let recorded = finished(vec![result(0)], succeeded());
    store.record_finished(&recorded).await.unwrap();
    hinted(&mut hints, |hint| match hint {
        Hint::All => true,
        Hint::Events(runs) => runs.contains(&recorded.id),
        _ => false,
    })
    .await;
    // Transactions of other tests may hold it back for a moment.
    until(async || store.feed(position, 10).await.unwrap().events.len() == 3).await;
    let page = store.feed(position, 10).await.unwrap();
    assert!(page.events.iter().all(|event| event.event.run == recorded.id));
    let cancelled = store.cancel(recorded.id).await.unwrap().unwrap();
    assert_eq!((cancelled.status, cancelled.cancel_requested), (RunStatus::Succeeded, false));
}

async fn uploaded_runs_are_never_retried(store: TestStore) {
    let recorded = finished(vec![], Ending::Failed(failure()));
    store.record_finished(&recorded).await.unwrap();
    let retried = store.retry(recorded.id).await.unwrap().unwrap();
    assert!(matches!(&retried, Retried::Refused(run) if run.id == recorded.id), "{retried:?}");
    assert_eq!(store.get(recorded.id).await.status, RunStatus::Failed);
    assert!(store.claim("idle/0", 1, LEASE).await.unwrap().is_empty());
}

async fn finished_runs_may_be_odd(store: TestStore) {
    let odd = "a b \u{feff}\u{10ffff} 'x\" \\u0000 \\ \n 👩‍👩‍👧";
    let spec = format!(r#"{{"target":{{"traceFiles":["{}"]}}}}"#, "é\\u0000".repeat(100_000));
    let recorded = FinishedRun { eval_set_id: Some(odd.to_owned()), spec, ..finished(vec![], succeeded()) };
    store.record_finished(&recorded).await.unwrap();
    assert_eq!(store.spec(recorded.id).await.unwrap().unwrap(), recorded.spec);
    assert_eq!(store.get(recorded.id).await.eval_set_id.as_deref(), Some(odd));
    let filter = RunFilter { eval_set_ids: vec![odd.to_owned()], limit: 10, ..RunFilter::default() };
    assert_eq!(store.list(&filter).await.unwrap().len(), 1);
}

async fn fault_9_runs_are_found_by_eval_set_agent_and_kind(store: TestStore) {
    let uploaded = finished(vec![], of_agent("weather"));
    store.record_finished(&uploaded).await.unwrap();
    let fetched = Submission {
        target_kind: TargetKind::Http,
        eval_set_id: Some("other golden".to_owned()),
        ..new_run()
    };
    let fetched = store.submit_one(fetched).await;
    let inline = store.submit_one(new_run()).await;
    let found = async |filter: RunFilter| {
        let runs = store.list(&RunFilter { limit: 10, ..filter }).await.unwrap();
        let mut ids: Vec<_> = runs.iter().map(|run| run.id).collect();
        ids.sort_by_key(|id| id.0);
        ids
    };
    let none = RunFilter::default;
    let of_sets =
        |ids: &[&str]| RunFilter { eval_set_ids: ids.iter().map(|id| (*id).to_owned()).collect(), ..none() };
    assert_eq!(found(of_sets(&["golden"])).await, [uploaded.id]);
    assert_eq!(found(of_sets(&["golden", "other golden"])).await, [uploaded.id, fetched]);
    assert_eq!(found(of_sets(&["gold"])).await, []);
    let of_agents = |agent: &str| RunFilter { agents: vec![agent.to_owned()], ..none() };
    assert_eq!(found(of_agents("weather")).await, [uploaded.id]);
    assert_eq!(found(of_agents("weath")).await, []);
    let of_kinds = |kinds: &[TargetKind]| RunFilter { target_kinds: kinds.to_vec(), ..none() };
    assert_eq!(found(of_kinds(&[TargetKind::Inline])).await, [inline]);
    assert_eq!(found(of_kinds(&[TargetKind::Http, TargetKind::Uploaded])).await, [uploaded.id, fetched]);
    // Together with a status that only unfinished runs have, which is another statement.
    let queued = RunFilter { statuses: vec![RunStatus::Queued], ..of_kinds(&[TargetKind::Http]) };
    assert_eq!(found(queued).await, [fetched]);
    let queued = RunFilter { statuses: vec![RunStatus::Queued], ..of_sets(&["golden"]) };
    assert_eq!(found(queued).await, []);
}

async fn fault_14_results_are_found_by_eval_case(store: TestStore) {
    let claimed = store.claimed().await;
    assert!(store.write(part(&claimed, 0..3)).await);
    assert!(store.write(end(&claimed, succeeded())).await);
    let of_case = |cases: &[&str]| ResultFilter {
        eval_cases: cases.iter().map(|case| (*case).to_owned()).collect(),
        ..all_results()
    };
    let places = async |filter: ResultFilter| {
        let results = store.results(claimed.lease.run, &filter).await.unwrap();
        results.iter().map(|stored| stored.record.ordinal).collect::<Vec<_>>()
    };
    assert_eq!(places(of_case(&["case 1"])).await, [1]);
    assert_eq!(places(of_case(&["case 2", "case 0"])).await, [0, 2]);
    assert_eq!(places(of_case(&["case"])).await, [] as [u32; 0]);
    let failed = ResultFilter { statuses: vec![ResultStatus::Failed], ..of_case(&["case 1"]) };
    assert_eq!(places(failed).await, [] as [u32; 0]);
}
