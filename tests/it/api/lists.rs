//! Pages and filters.

use std::collections::BTreeSet;

use agentevals::runs::ResultStatus;
use serde_json::{Value, json};

use super::harness::{Api, failed, passed, result};

fn ids(page: &Value) -> Vec<String> {
    let runs = page["data"].as_array().unwrap().iter();
    runs.map(|run| run["runId"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn pages_hold_every_run_once_newest_first() {
    let api = Api::default();
    let mut submitted = Vec::new();
    for _ in 0..5 {
        submitted.insert(0, api.submitted(json!({})).await.to_string());
    }
    let (mut seen, mut cursor) = (Vec::new(), Value::Null);
    for size in [2, 2, 1] {
        let call = api.call("list_runs").query("limit", 2);
        let call = if let Some(cursor) = cursor.as_str() { call.query("cursor", cursor) } else { call };
        let page = call.send().await.expect(200);
        assert_eq!(page["data"].as_array().unwrap().len(), size);
        seen.extend(ids(&page));
        cursor = page["next"].clone();
    }
    assert_eq!(cursor, Value::Null);
    assert_eq!(seen.iter().collect::<BTreeSet<_>>(), submitted.iter().collect());
    let whole = api.call("list_runs").send().await.expect(200);
    assert_eq!((ids(&whole), &whole["next"]), (seen, &Value::Null));
}

#[tokio::test]
async fn runs_are_filtered_by_status_verdict_label_and_time() {
    let api = Api::default();
    let done = api.submitted(json!({"branch": "main", "team": "a"})).await.to_string();
    api.record(&api.claimed().await, vec![], passed()).await;
    let broken = api.submitted(json!({"branch": "main"})).await.to_string();
    api.record(&api.claimed().await, vec![], failed()).await;
    let waiting = api.submitted(json!({"team": "a=b"})).await.to_string();

    let created = api.call_on("get_run", &broken).send().await.expect(200)["data"]["createdAt"].take();
    let created = created.as_str().unwrap();
    let all = [&*done, &*broken, &*waiting];
    for (query, expected) in [
        (vec![("status", "queued")], vec![&*waiting]),
        (vec![("status", "queued"), ("status", "failed")], vec![&*broken, &*waiting]),
        (vec![("verdict", "passed")], vec![&*done]),
        (vec![("label", "branch=main")], vec![&*done, &*broken]),
        (vec![("label", "branch=main"), ("label", "team=a")], vec![&*done]),
        (vec![("label", "team=a=b")], vec![&*waiting]),
        (vec![("createdBefore", created)], vec![&*done]),
        (vec![("before", created)], vec![&*done]),
        (vec![("before", "2099-01-01"), ("createdBefore", created)], vec![&*done]),
        (vec![("createdFrom", created)], vec![&*broken, &*waiting]),
        (vec![("createdFrom", created.trim_end_matches('Z'))], vec![&*broken, &*waiting]),
        (vec![("unknown", "1")], all.to_vec()),
    ] {
        let call = query.iter().fold(api.call("list_runs"), |call, (name, value)| call.query(name, value));
        let found: BTreeSet<_> = ids(&call.send().await.expect(200)).into_iter().collect();
        assert_eq!(found, expected.iter().map(|id| (*id).to_owned()).collect(), "{query:?}");
    }
}

#[tokio::test]
async fn results_have_pages_and_filters() {
    let api = Api::default();
    let id = api.submitted(json!({})).await;
    let results = vec![
        result(1, "rouge", ResultStatus::Passed),
        result(2, "trajectory", ResultStatus::Failed),
        result(3, "mine", ResultStatus::Passed),
    ];
    api.record(&api.claimed().await, results, passed()).await;
    let names = |page: &Value| {
        let results = page["data"].as_array().unwrap().iter();
        results.map(|result| result["evaluatorName"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let list = || api.call_on("list_results", id);
    assert_eq!(names(&list().send().await.expect(200)), ["rouge", "trajectory", "mine"]);
    assert_eq!(names(&list().query("status", "failed").send().await.expect(200)), ["trajectory"]);
    let some = list().query("evaluator", "rouge").query("evaluator", "mine");
    assert_eq!(names(&some.send().await.expect(200)), ["rouge", "mine"]);

    let first = list().query("limit", 2).send().await.expect(200);
    let next = first["next"].as_str().unwrap();
    assert_eq!(names(&first), ["rouge", "trajectory"]);
    let second = list().query("limit", 2).query("cursor", next).send().await.expect(200);
    assert_eq!((names(&second), &second["next"]), (vec!["mine".to_owned()], &Value::Null));
}
