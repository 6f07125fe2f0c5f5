//! Traces to conversations, and goldens that are checked.

use serde_json::{Value, json};

use super::evaluate::{golden, parts_of, trace};
use super::harness::{Answer, Api};
use crate::support::{otlp, question, span};

async fn converted(parts: &[(&str, &str, &str)]) -> Answer {
    Api::default().call("convert_traces").form(parts).send().await
}

#[tokio::test]
async fn traces_are_converted_to_conversations() {
    let tool = span(
        3,
        1,
        json!({"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "look_up", "gen_ai.tool.call.id": "c1",
            "gen_ai.tool.call.arguments": r#"{"some_city": "Oslo"}"#, "gen_ai.tool.call.result": "[1, 2]"}),
    );
    let agent = span(1, 0, json!({"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "guide"}));
    let mut chat = question(2, &"é".repeat(201), "Hello.");
    chat["parentSpanId"] = crate::support::span_id(1).into();
    let document = otlp([agent, chat, tool]).to_string();
    let data = converted(&[("trace_files", "some/trace_mine.json", &document)]).await.expect(200);
    let trace = &data["data"]["traces"][0];
    assert_eq!(trace["traceIds"], json!([crate::support::TRACE]));
    let turn = &trace["invocations"][0];
    assert_eq!(turn["invocationId"], "0000000000000001");
    assert_eq!(turn["finalResponse"], json!({"role": "model", "parts": [{"text": "Hello."}]}));
    assert_eq!(turn["creationTimestamp"], 1.0);
    let tools = &turn["intermediateData"];
    assert_eq!(tools["toolUses"], json!([{"id": "c1", "name": "look_up", "args": {"some_city": "Oslo"}}]));
    assert_eq!(
        tools["toolResponses"],
        json!([{"id": "c1", "name": "look_up", "response": {"result": [1, 2]}}])
    );
    let metadata = &trace["metadata"];
    assert_eq!((&metadata["agentName"], &metadata["sessionName"]), (&json!("guide"), &json!("mine")));
    assert_eq!(metadata["startTime"], 1_000_000);
    assert_eq!(metadata["userInputPreview"], format!("{}...", "é".repeat(200)));
    assert_eq!(metadata["finalOutputPreview"], "Hello.");
}

#[tokio::test]
async fn what_cannot_be_converted_is_refused_or_listed() {
    let trace = trace();
    let files = ("trace_files", "t.json", &*trace);
    let problem = converted(&[("trace_files", "t.json", "{nope")]).await.expect_problem(400, "no_traces");
    assert!(problem["detail"].as_str().unwrap().contains("`t.json`"), "{problem}");
    for (part, value) in [("group_by", "x"), ("trace_format", "xml")] {
        let problem = converted(&[files, (part, "", value)]).await.expect_problem(400, "invalid_upload");
        assert_eq!(parts_of(&problem), [part]);
    }
    converted(&[("trace_files", "t.txt", &*trace)]).await.expect_problem(400, "invalid_upload");
    converted(&[]).await.expect_problem(422, "missing_part");
    let half =
        converted(&[files, ("trace_files", "u.json", "{nope"), ("group_by", "", "conversation")]).await;
    let data = &half.expect(200)["data"];
    assert_eq!(data["traces"].as_array().unwrap().len(), 1);
    assert!(data["errors"][0].as_str().unwrap().contains("`u.json`"), "{data}");
    assert_eq!(data["traces"][0]["metadata"]["sessionName"], Value::Null);
}

#[tokio::test]
async fn traces_of_a_conversation_are_converted_together_when_asked() {
    let conversation = |number: u64, trace: &str| {
        let mut span = question(number, "Hello?", "Hello.");
        span["traceId"] = trace.into();
        let id = json!({"key": "gen_ai.conversation.id", "value": {"stringValue": "c"}});
        span["attributes"].as_array_mut().unwrap().push(id);
        span
    };
    let other = "1af7651916cd43dd8448eb211c80319c";
    let document = otlp([conversation(1, crate::support::TRACE), conversation(2, other)]).to_string();
    for (group_by, traces) in [(None, 2), (Some("trace"), 2), (Some("auto"), 2), (Some("conversation"), 1)] {
        let mut parts = vec![("trace_files", "t.json", &*document)];
        parts.extend(group_by.map(|group_by| ("group_by", "", group_by)));
        let data = converted(&parts).await.expect(200);
        assert_eq!(data["data"]["traces"].as_array().unwrap().len(), traces, "{group_by:?}");
    }
}

#[tokio::test]
async fn goldens_are_checked() {
    let api = Api::default();
    let validated = async |golden: &str| {
        let answer = api.call("validate_evalset").form(&[("eval_set_file", "g.json", golden)]).send().await;
        answer.expect(200)["data"].clone()
    };
    let good = validated(&golden().to_string()).await;
    let expected =
        json!({"valid": true, "evalSetId": "greetings", "numCases": 1, "errors": [], "warnings": []});
    assert_eq!(good, expected);
    let bad = validated(r#"{"eval_set_id": "x", "eval_cases": [{}]}"#).await;
    assert_eq!(
        (&bad["valid"], &bad["evalSetId"], &bad["numCases"]),
        (&json!(false), &Value::Null, &Value::Null)
    );
    assert!(bad["errors"][0].as_str().unwrap().starts_with("/eval_cases/0/eval_id: "), "{bad}");
    let broken = validated("{nope").await;
    assert!(broken["errors"][0].as_str().unwrap().contains("line 1 column 2"), "{broken}");
    let call = api.call("validate_evalset").form(&[("other", "", "x")]);
    call.send().await.expect_problem(422, "missing_part");
}
