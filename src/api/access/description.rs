//! What the OpenAPI document says about access.

use poem::http::Method;
use serde_json::{Map, Value, json};

use super::scope::{is_open, needed};
use crate::api::problem;

/// What a token is, for the page that asks for one.
const ABOUT: &str = "A token made by `agentevals token`. A server that was given none, as on a developer's machine, asks \
                     for none.";

/// Says of every operation that is not open which token it needs and how it refuses without.
pub(in crate::api) fn describe(document: &mut Value) {
    document["components"]["securitySchemes"]["bearer"] =
        json!({"type": "http", "scheme": "bearer", "description": ABOUT});
    for (path, operations) in document["paths"].as_object_mut().into_iter().flatten() {
        for (method, operation) in operations.as_object_mut().into_iter().flatten() {
            let method = Method::from_bytes(method.to_ascii_uppercase().as_bytes());
            match (method, operation.as_object_mut()) {
                (_, Some(operation)) if is_open(path) => {
                    operation.insert("security".to_owned(), json!([]));
                }
                (Ok(method), Some(operation)) => demand_token(&method, operation),
                _ => {}
            }
        }
    }
}

/// OpenAPI 3.0 lists scopes for OAuth only; here the text and an extension name the scope.
fn demand_token(method: &Method, operation: &mut Map<String, Value>) {
    let scope = needed(method);
    let said = operation.get("description").and_then(Value::as_str).unwrap_or_default();
    let description = format!("{said}\n\nNeeds the scope `{scope}`.").trim().to_owned();
    operation.insert("description".to_owned(), description.into());
    operation.insert("security".to_owned(), json!([{ "bearer": [] }]));
    operation.insert("x-required-scope".to_owned(), scope.to_string().into());
    let Some(responses) = operation.get_mut("responses").and_then(Value::as_object_mut) else { return };
    // What all answers have, such as the id of the request, is described by one that has nothing else.
    let common = responses.get("500").map(|response| response["headers"].clone());
    for (status, mut refusal) in problem::refusals() {
        for (name, header) in common.as_ref().and_then(Value::as_object).into_iter().flatten() {
            refusal["headers"][name] = header.clone();
        }
        responses.insert(status.to_owned(), refusal);
    }
}
