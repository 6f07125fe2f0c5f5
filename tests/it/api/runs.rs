//! Submitting runs, looking at them, and acting on them.

use std::time::Duration;

use agentevals::ids::RunId;
use agentevals::runs::ResultStatus;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::harness::{Api, failed, other_work, passed, result, submission};

#[tokio::test]
async fn a_submission_is_accepted_and_found_where_it_says() {
    let api = Api::default();
    let answer = api.call("submit_run").json(&submission()).send().await;
    let run = answer.expect(202)["data"].take();
    let id = run["runId"].as_str().unwrap();
    assert_eq!(answer.header("location"), format!("/api/runs/{id}"));
    assert_eq!(answer.header("preference-applied"), "");
    assert_eq!(
        (&run["status"], &run["attempt"], &run["verdict"]),
        (&json!("queued"), &json!(0), &Value::Null)
    );
    assert_eq!(api.call_on("get_run", id).send().await.expect(200)["data"], run);
}

#[tokio::test]
async fn the_same_again_is_the_stored_run_and_other_work_is_a_conflict() {
    let api = Api::default();
    let id = RunId::new_v7().to_string();
    let mut submission = submission();
    submission["runId"] = id.as_str().into();
    let submit = |body: &Value| api.call("submit_run").json(body).send();
    submit(&submission).await.expect(202);
    api.record(&api.claimed().await, vec![], passed()).await;
    assert_eq!(submit(&submission).await.expect(202)["data"]["status"], "succeeded");

    let problem = submit(&other_work(submission)).await.expect_problem(409, "run_conflict");
    assert!(problem["detail"].as_str().unwrap().contains(&id));
    assert_eq!(problem["persisted"]["runId"], *id);
    assert_eq!(problem["persisted"]["status"], "succeeded");
}

#[tokio::test]
async fn an_idempotency_key_does_the_same_without_an_id() {
    let api = Api::default();
    let submission = submission();
    let submit = |body: &Value| api.call("submit_run").header("Idempotency-Key", "k-1").json(body).send();
    let first = submit(&submission).await.expect(202);
    assert_eq!(submit(&submission).await.expect(202), first);
    let problem = submit(&other_work(submission.clone())).await.expect_problem(409, "run_conflict");
    assert_eq!(problem["persisted"]["runId"], first["data"]["runId"]);

    for bad in ["", "a b", &"k".repeat(256)] {
        let answer = api.call("submit_run").header("Idempotency-Key", bad).json(&submission).send().await;
        let problem = answer.expect_problem(422, "invalid_parameter");
        assert_eq!(problem["errors"][0]["parameter"], "Idempotency-Key");
    }
}

#[tokio::test]
async fn a_submission_waits_for_the_end_if_that_is_preferred() {
    let api = Api::default();
    let id = RunId::new_v7();
    let mut submission = submission();
    submission["runId"] = id.to_string().into();
    let work = async {
        let stored = async {
            while api.store.run(id).await.unwrap().is_none() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), stored).await.expect("the run is stored");
        api.record(&api.claimed().await, vec![], passed()).await;
    };
    let call = api.call("submit_run").header("Prefer", "respond-async, wait=600").json(&submission);
    let (answer, ()) = tokio::join!(call.send(), work);
    assert_eq!(answer.expect(202)["data"]["verdict"], "passed");
    assert_eq!(answer.header("preference-applied"), "wait=60");
}

#[tokio::test(start_paused = true)]
async fn patience_ends_after_the_time_given_and_when_the_service_stops() {
    let api = Api::default();
    let started = tokio::time::Instant::now();
    let answer = api.call("submit_run").header("Prefer", "wait=5").json(&submission()).send().await;
    assert_eq!(answer.expect(202)["data"]["status"], "queued");
    assert_eq!(started.elapsed().as_secs(), 5);

    let call = api.call("submit_run").header("Prefer", "wait=50").json(&submission());
    let stop = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        api.shutdown.cancel();
    };
    let (answer, ()) = tokio::join!(call.send(), stop);
    assert_eq!(answer.expect(202)["data"]["status"], "queued");
    assert_eq!(started.elapsed().as_secs(), 6);
}

#[tokio::test]
async fn a_run_tells_how_far_it_is_and_how_it_ended() {
    let api = Api::default();
    let id = api.submitted(json!({"branch": "main"})).await;
    let claimed = api.claimed().await;
    api.record(&claimed, vec![], None).await;
    let run = api.call_on("get_run", id).send().await.expect(200)["data"].take();
    assert_eq!(run["status"], "running");
    assert_eq!(run["workerId"], "tests/0");
    assert_eq!(run["progress"], json!({"done": 1, "total": 2}));
    assert_eq!(run["labels"], json!({"branch": "main"}));

    api.record(&claimed, vec![], passed()).await;
    let run = api.call_on("get_run", id).send().await.expect(200)["data"].take();
    assert_eq!((&run["status"], &run["verdict"]), (&json!("succeeded"), &json!("passed")));
    assert_eq!(run["summary"]["per_metric"]["a_metric"]["avg_score"], Value::Null);
    let time = regex::Regex::new(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$").unwrap();
    for member in ["createdAt", "startedAt", "finishedAt"] {
        assert!(time.is_match(run[member].as_str().unwrap()), "{member}: {run}");
    }
}

#[tokio::test]
async fn an_unchanged_run_is_not_sent_again() {
    let api = Api::default();
    let id = api.submitted(json!({})).await;
    let first = api.call_on("get_run", id).send().await;
    let tag = first.header("etag");
    assert!(tag.starts_with('"') && tag.ends_with('"') && first.status.is_success(), "{tag}");
    for known in [tag.to_owned(), format!("\"other\", W/{tag}"), "*".to_owned()] {
        let again = api.call_on("get_run", id).header("If-None-Match", known).send().await;
        assert_eq!((again.status.as_u16(), again.header("etag"), &*again.text), (304, tag, ""));
    }
    api.claimed().await;
    let changed = api.call_on("get_run", id).header("If-None-Match", tag).send().await;
    assert_eq!(changed.expect(200)["data"]["status"], "running");
    assert_ne!(changed.header("etag"), tag);
}

#[tokio::test]
async fn the_specification_comes_only_when_asked_for() {
    let api = Api::default();
    let id = api.submitted(json!({})).await;
    let without = api.call_on("get_run", id).send().await.expect(200);
    assert_eq!(without["data"].get("spec"), None);
    let with = api.call_on("get_run", id).query("include", "spec").send().await.expect(200);
    assert_eq!(with["data"]["spec"]["target"]["kind"], "inline");
    let bad = api.call_on("get_run", id).query("include", "everything").send().await;
    bad.expect_problem(422, "invalid_parameter");
}

#[tokio::test]
async fn a_specification_in_the_python_dialect_is_answered_too() {
    let api = Api::default();
    let text = submission().to_string().replace(r#"{"spec":{"#, r#"{"spec":{"note":NaN,"#);
    let call = api.call("submit_run").header("content-type", "application/json").body(text);
    let run = call.send().await.expect(202)["data"].take();
    let call = api.call_on("get_run", run["runId"].as_str().unwrap()).query("include", "spec");
    let spec = call.send().await.expect(200)["data"]["spec"].take();
    assert_eq!((&spec["note"], &spec["target"]["kind"]), (&Value::Null, &json!("inline")));
}

#[tokio::test]
async fn results_are_as_they_were_stored() {
    let api = Api::default();
    let id = api.submitted(json!({})).await;
    let details = r#"{"z":1,"a":12345678901234567890123, "snake_case":1.0}"#;
    let mut first = result(1, "rouge", ResultStatus::Passed);
    first.details = Some(RawValue::from_string(details.to_owned()).unwrap());
    first.score = Some(1.0);
    first.eval_case_id = Some("c1".to_owned());
    let results = vec![first, result(2, "rouge_2", ResultStatus::Errored)];
    api.record(&api.claimed().await, results, passed()).await;

    let answer = api.call_on("list_results", id).send().await;
    assert!(answer.text.contains(details), "{}", answer.text);
    let results = answer.expect(200);
    assert_eq!(results["next"], Value::Null);
    let first = &results["data"][0];
    assert_eq!((&first["evalCaseId"], &first["score"]), (&json!("c1"), &json!(1.0)));
    assert_eq!(first["perInvocationScores"], json!([null, 0.5]));
    assert_eq!(first["attempt"], 1);
    assert_eq!(first["resultId"].as_str().unwrap().len(), 64);
}

#[tokio::test]
async fn cancelling_is_safe_to_repeat() {
    let api = Api::default();
    let queued = api.submitted(json!({})).await;
    for _ in 0..2 {
        let run = api.call_on("cancel_run", queued).send().await.expect(200)["data"].take();
        assert_eq!((&run["status"], &run["cancelRequested"]), (&json!("cancelled"), &json!(true)));
    }
    let running = api.submitted(json!({})).await;
    api.claimed().await;
    let run = api.call_on("cancel_run", running).send().await.expect(200)["data"].take();
    assert_eq!((&run["status"], &run["cancelRequested"]), (&json!("running"), &json!(true)));
}

#[tokio::test]
async fn only_failed_and_cancelled_runs_are_retried() {
    let api = Api::default();
    let id = api.submitted(json!({})).await;
    let problem = api.call_on("retry_run", id).send().await.expect_problem(409, "not_retryable");
    assert!(problem["detail"].as_str().unwrap().contains("the run is queued"));
    api.record(&api.claimed().await, vec![], failed()).await;
    let run = api.call_on("get_run", id).send().await.expect(200)["data"].take();
    assert_eq!((&run["error"], &run["errorCode"]), (&json!("the trace has no spans"), &json!("bad_input")));

    let answer = api.call_on("retry_run", id).send().await;
    assert_eq!(answer.expect(202)["data"]["status"], "queued");
    assert_eq!(answer.header("location"), format!("/api/runs/{id}"));
}

#[tokio::test]
async fn a_finished_run_can_be_deleted() {
    let api = Api::default();
    let id = api.submitted(json!({})).await;
    let problem = api.call_on("delete_run", id).send().await.expect_problem(409, "run_not_final");
    assert!(problem["detail"].as_str().unwrap().starts_with("the run is queued; "), "{problem}");
    api.call_on("cancel_run", id).send().await.expect(200);
    let answer = api.call_on("delete_run", id).send().await;
    assert_eq!((answer.status.as_u16(), &*answer.text), (204, ""));
    for operation in ["get_run", "delete_run"] {
        api.call_on(operation, id).send().await.expect_problem(404, "run_not_found");
    }
}

#[tokio::test]
async fn a_run_that_does_not_exist_is_not_found() {
    let api = Api::default();
    let id = RunId::new_v7();
    for operation in ["get_run", "list_results", "cancel_run", "retry_run", "delete_run", "watch_run"] {
        let problem = api.call_on(operation, id).send().await.expect_problem(404, "run_not_found");
        assert!(problem["detail"].as_str().unwrap().contains(&id.to_string()));
    }
}
