//! What the service says about itself; `fault_N` would find a fault of the reference (agentevals 0.11), which has these:
//!
//! 4. An unknown path below `/api` is answered with a page.
//! 6. Health is always good.

use agentevals::api::{ApiKeys, ApiSettings};
use poem::http::Method;
use serde_json::json;

use super::broken::Broken;
use super::evaluate::{trace, with_settings};
use super::harness::Api;
use crate::support::runs::TestStore;

#[tokio::test]
async fn metrics_are_listed_with_what_they_need() {
    let metrics = Api::default().call("list_metrics").send().await.expect(200)["data"].clone();
    let metrics = metrics.as_array().unwrap();
    assert_eq!(metrics.len(), 16);
    let about = |name: &str| metrics.iter().find(|metric| metric["name"] == name).unwrap();
    let trajectory = about("tool_trajectory_avg_score");
    for (member, value) in [
        ("category", json!("trajectory")),
        ("requiresEvalSet", json!(true)),
        ("requiresLLM", json!(false)),
        ("requiresGCP", json!(false)),
        ("requiresRubrics", json!(false)),
        ("working", json!(true)),
    ] {
        assert_eq!(trajectory[member], value, "{member}");
    }
    assert_eq!(about("safety_v1")["requiresGCP"], true);
    let judged = about("rubric_based_tool_use_quality_v1");
    assert_eq!((&judged["requiresLLM"], &judged["requiresRubrics"]), (&json!(true), &json!(true)));
    // What is said to work is accepted, what is not is refused.
    for metric in metrics {
        let config = json!({"evaluators": [{"name": metric["name"], "type": "builtin"}]}).to_string();
        let parts = [("trace_files", "t.json", &*trace()), ("config", "", &*config)];
        let answer = Api::default().call("evaluate_form").form(&parts).send().await;
        assert_eq!(answer.status == 200, metric["working"] == true, "{metric}: {answer:#?}");
    }
}

#[tokio::test]
async fn the_settings_say_which_keys_there_are() {
    let api_keys = ApiKeys { anthropic: true, ..ApiKeys::default() };
    let api = with_settings(ApiSettings { api_keys, ..ApiSettings::default() });
    let config = api.call("get_config").send().await.expect(200);
    let keys = json!({"google": false, "anthropic": true, "openai": false});
    assert_eq!(config["data"], json!({"apiKeys": keys, "otlp": null}));
}

#[tokio::test(start_paused = true)]
async fn fault_6_health_is_good_only_when_runs_can_be_kept() {
    let health = Api::default().call("get_health").send().await.expect(200);
    assert_eq!(health["data"], json!({"status": "ok", "version": env!("CARGO_PKG_VERSION")}));
    Broken::Unavailable.api().call("get_health").send().await.expect_problem(503, "unavailable");
    Broken::Other.api().call("get_health").send().await.expect_problem(500, "internal");
    Broken::Hang.api().call("get_health").send().await.expect_problem(503, "unavailable");
}

#[tokio::test]
async fn fault_6_health_is_bad_when_the_schema_is_not_what_is_needed() {
    let store = TestStore::postgres().await;
    let api = Api::over(store.store.clone(), &store.hints, ApiSettings::default());
    api.call("get_health").send().await.expect(200);
    let client = store.database.as_ref().unwrap().client().await;
    for change in ["dirty = true", "dirty = false, version = version - 1"] {
        client.batch_execute(&format!("UPDATE agentevals.schema_migrations SET {change}")).await.unwrap();
        api.call("get_health").send().await.expect_problem(503, "unavailable");
        api.call("get_readiness").send().await.expect_problem(503, "unavailable");
        api.call("get_liveness").send().await.expect(200);
    }
}

#[tokio::test]
async fn fault_4_an_unknown_path_is_not_found_whatever_the_method() {
    let api = Api::default();
    for method in [Method::GET, Method::POST] {
        for path in ["/api/nope", "/api/evaluate/nope", "/api/evaluate/"] {
            api.request(method.clone(), path).send().await.expect_problem(404, "not_found");
        }
    }
    let answer = api.request(Method::GET, "/api/evaluate").send().await;
    answer.expect_problem(405, "method_not_allowed");
    assert_eq!(answer.header("allow"), "POST");
}
