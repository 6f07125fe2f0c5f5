//! Messages to sinks, as clients see and requeue them.

use agentevals::ids::RunId;
use agentevals::outbox::Settlement;
use agentevals::runs::ResultStatus;
use serde_json::{Value, json};

use super::harness::{Api, passed, result, submission};
use crate::support::sinks::{MARGIN, room};

/// An API with a run that has ended, of whose two messages the first was refused and the second delivered.
async fn with_dead_message() -> (Api, RunId) {
    let api = Api::default();
    let mut submission = submission();
    submission["spec"]["sinks"] =
        json!([{"kind": "http_webhook", "url": "https://example.org/hook?token=hunter2"}]);
    let answer = api.call("submit_run").json(&submission).send().await;
    let run = answer.expect(202)["data"]["runId"].as_str().unwrap().parse().unwrap();
    let claimed = api.claimed().await;
    api.record(&claimed, vec![result(0, "m", ResultStatus::Passed)], passed()).await;
    let dead = Settlement::Dead { status: Some(400), error: "answered 400".to_owned() };
    for settlement in [dead, Settlement::Delivered { status: Some(200) }] {
        let message = api.store.claim_messages(&room(), MARGIN).await.unwrap().remove(0);
        assert!(api.store.settle_message(message.lease, &settlement).await.unwrap());
    }
    (api, run)
}

fn shown(answer: &Value) -> Vec<(&str, &str)> {
    let messages = answer["data"].as_array().unwrap().iter();
    messages.map(|message| (message["phase"].as_str().unwrap(), message["state"].as_str().unwrap())).collect()
}

#[tokio::test]
async fn messages_are_listed_in_pages() {
    let (api, run) = with_dead_message().await;
    let all = api.call_on("list_deliveries", run).send().await.expect(200);
    assert_eq!(shown(&all), [("partial", "dead"), ("final", "delivered")]);
    assert!(all["next"].is_null());
    let mut first = all["data"][0].clone();
    for name in ["createdAt", "settledAt"] {
        assert!(first[name].take().as_str().unwrap().ends_with('Z'));
    }
    let expected = json!({"id": format!("{run}-3-0"), "runId": run.to_string(), "event": 3, "sink": 0,
        "kind": "http_webhook", "destination": "https://example.org", "phase": "partial", "state": "dead",
        "attempts": 1, "nextAttemptAt": null, "lastStatus": 400, "lastError": "answered 400", "createdAt": null,
        "settledAt": null});
    assert_eq!(first, expected);
    let page = api.call_on("list_deliveries", run).query("limit", 1).send().await.expect(200);
    assert_eq!(shown(&page), [("partial", "dead")]);
    let cursor = page["next"].as_str().unwrap();
    let rest = api.call_on("list_deliveries", run).query("cursor", cursor).send().await.expect(200);
    assert_eq!((shown(&rest), &rest["next"]), (vec![("final", "delivered")], &Value::Null));
    api.call_on("list_deliveries", run)
        .query("cursor", "x")
        .send()
        .await
        .expect_problem(422, "invalid_parameter");
    api.call_on("list_deliveries", RunId::new_v7()).send().await.expect_problem(404, "run_not_found");
}

#[tokio::test]
async fn what_was_given_up_is_sent_again() {
    let (api, run) = with_dead_message().await;
    let again = api.call_on("redeliver_run", run).send().await.expect(202);
    assert_eq!(shown(&again), [("partial", "pending")]);
    assert_eq!(again["data"][0]["attempts"], 0);
    let nothing = api.call_on("redeliver_run", run).json(&json!({})).send().await.expect(202);
    assert_eq!(shown(&nothing), []);
    api.call_on("redeliver_run", RunId::new_v7()).send().await.expect_problem(404, "run_not_found");
}

#[tokio::test]
async fn messages_can_be_named() {
    let (api, run) = with_dead_message().await;
    let named = json!({"ids": [format!("{run}-4-0")]});
    let again = api.call_on("redeliver_run", run).json(&named).send().await.expect(202);
    assert_eq!(shown(&again), [("final", "pending")]);
    let other = format!("{}-3-0", RunId::new_v7());
    for (ids, pointer, text) in [
        (json!([other]), "/ids/0", "no id of a delivery"),
        (json!([format!("{run}-3-0"), "x"]), "/ids/1", "no id of a delivery"),
        (json!([1]), "/ids/0", "expected a string"),
        (json!("x"), "/ids", "expected a list"),
        (json!(vec![format!("{run}-3-0"); 1001]), "/ids", "more than 1000"),
    ] {
        let answer = api.call_on("redeliver_run", run).json(&json!({"ids": ids})).send().await;
        let problem = answer.expect_problem(422, "invalid_redelivery");
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{problem}");
        assert!(problem["detail"].as_str().unwrap().contains(text), "{problem}");
    }
    let call = api.call_on("redeliver_run", run).json(&json!({"id": []}));
    let problem = call.send().await.expect_problem(422, "invalid_redelivery");
    assert!(problem["detail"].as_str().unwrap().contains("did you mean `ids`?"), "{problem}");
}

#[tokio::test]
async fn bodies_that_cannot_be_read_are_refused() {
    let (api, run) = with_dead_message().await;
    let call = || api.call_on("redeliver_run", run);
    call().body("{}").send().await.expect_problem(415, "unsupported_media_type");
    let json = || call().header("content-type", "application/json");
    json().body("{").send().await.expect_problem(400, "malformed_json");
    json().body(&b"\xff"[..]).send().await.expect_problem(400, "malformed_json");
    json().body(" ".repeat(200 << 10)).send().await.expect_problem(413, "body_too_large");
    assert_eq!(shown(&api.call_on("list_deliveries", run).send().await.expect(200))[0].1, "dead");
}

#[tokio::test]
async fn a_sink_that_does_not_exist_is_refused_with_its_place() {
    let api = Api::default();
    let mut submission = submission();
    submission["spec"]["sinks"] = json!([{"kind": "stdout"}, {"kind": "kafka"}]);
    let answer = api.call("submit_run").json(&submission).send().await;
    let problem = answer.expect_problem(422, "invalid_submission");
    assert_eq!(problem["errors"][0]["pointer"], "/spec/sinks/1/kind");
}

#[tokio::test]
async fn sinks_are_shown_without_secrets() {
    let (api, run) = with_dead_message().await;
    let answer = api.call_on("get_run", run).query("include", "spec").send().await;
    assert_eq!(answer.expect(200)["data"]["spec"]["sinks"][0]["url"], "https://example.org/REDACTED");
    assert!(!answer.text.contains("hunter2"));
}
