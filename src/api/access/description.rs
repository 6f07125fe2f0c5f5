//! Describes access in the OpenAPI document: the security scheme, and the scope that each operation needs.

use poem::http::Method;
use serde_json::{Map, Value, json};

use super::scope::{is_open, needed};
use crate::api::corrections::members;
use crate::api::problem;

/// Description of the security scheme; Swagger UI shows it where it asks for a token.
const ABOUT: &str =
    "A token made by `agentevals token`. A server without tokens, as on a developer's machine, needs none.";

/// Adds to every operation, unless it is open, the scope that it needs and the answers 401 and 403.
pub(in crate::api) fn describe(document: &mut Value) {
    document["components"]["securitySchemes"]["bearer"] =
        json!({"type": "http", "scheme": "bearer", "description": ABOUT});
    for (path, operations) in members(&mut document["paths"]) {
        for (name, operation) in members(operations) {
            let method = Method::from_bytes(name.to_ascii_uppercase().as_bytes());
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

/// Names the scope in the description and in an extension, since OpenAPI 3.0 lists scopes for OAuth only.
fn demand_token(method: &Method, operation: &mut Map<String, Value>) {
    let scope = needed(method);
    let said = operation.get("description").and_then(Value::as_str).unwrap_or_default();
    let description = format!("{said}\n\nNeeds the scope `{scope}`.").trim().to_owned();
    operation.insert("description".to_owned(), description.into());
    operation.insert("security".to_owned(), json!([{ "bearer": [] }]));
    operation.insert("x-required-scope".to_owned(), scope.to_string().into());
    let Some(responses) = operation.get_mut("responses").and_then(Value::as_object_mut) else { return };
    // Headers that all answers have, such as the id of the request: the answer 500 has no others.
    let common = responses.get("500").map(|response| response["headers"].clone());
    for (status, mut refusal) in problem::refusals() {
        for (name, header) in common.as_ref().and_then(Value::as_object).into_iter().flatten() {
            refusal["headers"][name] = header.clone();
        }
        responses.insert(status.to_owned(), refusal);
    }
}
