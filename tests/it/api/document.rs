//! The OpenAPI document.

use std::fs;
use std::path::{Path, PathBuf};

use poem::http::Method;
use serde_json::{Value, json};

use super::harness::Api;
use super::schema;
use crate::support::agentevals;

/// The document.
pub(super) fn document() -> Value {
    serde_json::from_str(&agentevals::api::openapi_document()).unwrap()
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every operation: path, method, description.
pub(super) fn operations(document: &Value) -> Vec<(&str, &str, &Value)> {
    let paths = document["paths"].as_object().unwrap().iter();
    let operations = paths.flat_map(|(path, methods)| {
        methods.as_object().unwrap().iter().map(move |(method, operation)| (&**path, &**method, operation))
    });
    operations.collect()
}

#[test]
fn the_committed_document_is_up_to_date() {
    let committed = fs::read_to_string(root().join("openapi/agentevals.json")).unwrap();
    let generated = agentevals::api::openapi_document();
    assert!(committed == generated, "openapi/agentevals.json is out of date; run `just openapi`");
}

#[test]
fn the_program_prints_the_document() {
    let output = agentevals().arg("openapi").output().unwrap();
    assert!(output.status.success());
    assert_eq!(String::from_utf8(output.stdout).unwrap(), agentevals::api::openapi_document());
}

#[tokio::test]
async fn the_service_hands_out_the_document_and_a_page_to_read_it() {
    let api = Api::default();
    let answer = api.request(Method::GET, "/openapi.json").send().await;
    assert_eq!(answer.text, agentevals::api::openapi_document());
    let page = api.request(Method::GET, "/docs").send().await;
    assert_eq!(page.status, 200);
    assert!(page.text.contains("SwaggerUIBundle") && page.text.contains(r#""openapi": "3.0.3""#));
    let outside = regex::Regex::new(r#"(?:src|href)="https?://"#).unwrap();
    assert!(!outside.is_match(&page.text), "the page asks others");
}

#[test]
fn every_operation_is_called_by_a_test() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/api");
    let files = fs::read_dir(folder).unwrap().map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap());
    let tests: String = files.collect();
    let document = document();
    let ids =
        operations(&document).into_iter().map(|(.., operation)| operation["operationId"].as_str().unwrap());
    let uncalled: Vec<_> = ids
        .filter(|id| !["call", "call_on"].iter().any(|call| tests.contains(&format!("{call}(\"{id}\""))))
        .collect();
    assert!(uncalled.is_empty(), "no test calls {uncalled:?}");
}

#[test]
fn every_operation_is_described_whole() {
    let document = document();
    let id = regex::Regex::new("^[a-z]+_[a-z]+$").unwrap();
    for (path, method, operation) in operations(&document) {
        let about = format!("{method} {path}");
        assert!(id.is_match(operation["operationId"].as_str().unwrap()), "{about}: id");
        assert!(operation["summary"].is_string(), "{about}: no summary");
        assert_eq!(operation["tags"].as_array().unwrap().len(), 1, "{about}: tags");
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            assert!(parameter["description"].is_string(), "{about}: {parameter}");
        }
        for (status, response) in operation["responses"].as_object().unwrap() {
            assert_ne!(response["description"], "", "{about}: {status}");
            let is_failure = status.starts_with(['4', '5']);
            let schema = &response["content"]["application/problem+json"]["schema"]["$ref"];
            assert_eq!(is_failure, schema == "#/components/schemas/Problem", "{about}: {status}");
        }
    }
}

#[test]
fn every_member_is_described() {
    let document = document();
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        assert!(schema["description"].is_string(), "{name}");
        for (member, schema) in schema["properties"].as_object().into_iter().flatten() {
            let is_tag = schema["enum"].as_array().is_some_and(|known| known.len() == 1);
            assert!(schema["description"].is_string() || is_tag, "{name}.{member}");
        }
    }
}

#[tokio::test]
async fn the_example_fits_its_schema_and_is_accepted() {
    let document = document();
    let schema = json!({"$ref": "#/components/schemas/RunSubmission"});
    let example = &document["components"]["schemas"]["RunSubmission"]["example"];
    assert_eq!(schema::faults(example, &schema, &document), Vec::<String>::new());
    let run = Api::default().call("submit_run").json(example).send().await.expect(202);
    assert_eq!(run["data"]["runId"], example["runId"]);
}

/// Every kind of answer of every operation: where, media type, description.
fn answers(document: &Value) -> Vec<(String, &str, &Value)> {
    let mut answers = Vec::new();
    for (path, method, operation) in operations(document) {
        for (status, response) in operation["responses"].as_object().unwrap() {
            let media = response["content"].as_object().into_iter().flatten();
            answers.extend(
                media.map(|(kind, content)| (format!("{method} {path}: {status}"), &**kind, content)),
            );
        }
    }
    answers
}

#[test]
fn every_answer_has_an_example_that_fits() {
    let document = document();
    for (about, kind, content) in answers(&document) {
        let examples = content["examples"].as_object();
        let examples =
            examples.unwrap_or_else(|| panic!("{about}: none for {kind} in src/api/examples.json"));
        for example in examples.values() {
            let reference = example["$ref"].as_str().unwrap();
            let value = &document.pointer(&reference[1..]).unwrap()["value"];
            let faults = schema::faults(value, &content["schema"], &document);
            assert_eq!(faults, Vec::<String>::new(), "{about}: {reference}");
            if kind == "application/problem+json" {
                assert!(about.ends_with(&value["status"].to_string()), "{about}: {reference}");
            }
        }
    }
}

#[test]
fn the_data_of_streamed_events_is_described() {
    let document = document();
    let streams: Vec<_> =
        answers(&document).into_iter().filter(|(_, kind, _)| *kind == "text/event-stream").collect();
    assert!(!streams.is_empty());
    for (about, _, content) in streams {
        let data = content["x-event-data"]["$ref"].as_str().unwrap();
        let data = document.pointer(&data[1..]).unwrap();
        assert!(data["properties"].is_object() || data["oneOf"].is_array(), "{about}");
    }
}

#[test]
fn whatever_may_be_null_says_so_beside_its_type() {
    fn check(value: &Value, at: &str) {
        assert!(value.get("nullable").is_none() || value["type"].is_string(), "{at}");
        assert!(value.get("nullable").is_none() || value.get("allOf").is_none(), "{at}");
        for (name, member) in value.as_object().into_iter().flatten() {
            check(member, &format!("{at}/{name}"));
        }
        value.as_array().into_iter().flatten().for_each(|item| check(item, at));
    }
    check(&document()["components"]["schemas"], "");
}

#[test]
fn a_fetched_trace_with_credentials_of_every_kind_fits_the_schema() {
    let document = document();
    let faults = |headers: Value| {
        let submission = json!({"spec": {
            "target": {"kind": "http", "baseUrl": "https://h/traces", "traceId": "0af7651916cd43dd"},
            "context": {"headers": headers},
            "credentialRefs": {
                "a": {"kind": "env", "name": "A"},
                "b": {"kind": "file", "path": "b"},
                "c": {"kind": "kubernetes", "namespace": "n", "name": "c", "key": "k"},
            },
        }});
        schema::faults(&submission, &json!({"$ref": "#/components/schemas/RunSubmission"}), &document)
    };
    let headers = json!({
        "X-Written": "1",
        "X-Variable": {"fromEnv": "A"},
        "X-Credential": {"credentialRef": "a"},
        "Authorization": {"credentialRef": "a", "prefix": "Bearer "},
    });
    assert_eq!(faults(headers), Vec::<String>::new());
    assert_eq!(faults(json!({"X": 1})).len(), 1);
    assert_eq!(faults(json!({"X": {"prefix": "Bearer "}})).len(), 1);
}
