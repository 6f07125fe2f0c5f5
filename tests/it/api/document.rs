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
