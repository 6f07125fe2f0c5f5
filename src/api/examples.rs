//! Examples for the document, from `examples.json`: an answer of each kind and a problem of each kind.
//!
//! Examples of pages and envelopes are composed from those of their members. Each example stands once among the
//! components; answers refer to it.

use poem::http::StatusCode;
use serde_json::{Value, json};

use super::corrections::{Members, SCHEMAS, members};

const EXAMPLES: &str = "#/components/examples/";

/// Adds an example to every answer of every operation.
pub(super) fn add(document: &mut Value) {
    let known: Value = serde_json::from_str(include_str!("examples.json")).unwrap_or_default();
    let schemas = document["components"]["schemas"].clone();
    let mut examples = Members::new();
    for (_, methods) in members(&mut document["paths"]) {
        for (_, operation) in members(methods) {
            let id = operation["operationId"].as_str().unwrap_or_default().to_owned();
            for (status, response) in members(&mut operation["responses"]) {
                // Answers without a body have no content.
                for (media_type, content) in response.get_mut("content").into_iter().flat_map(members) {
                    let example = match media_type.as_str() {
                        "application/problem+json" => problem(&known["problems"], status, &id),
                        "text/event-stream" => events(content, &schemas, &known["answers"]),
                        _ => answer(content, &schemas, &known["answers"]),
                    };
                    let Some((name, value)) = example else { continue };
                    content["examples"] = json!({ &name: {"$ref": format!("{EXAMPLES}{name}")} });
                    examples.insert(name, json!({ "value": value }));
                }
            }
        }
    }
    document["components"]["examples"] = examples.into();
}

/// The example of a problem with a status: one that names this operation, else one that names none.
fn problem(problems: &Value, status: &str, operation: &str) -> Option<(String, Value)> {
    let status: u16 = status.parse().ok()?;
    let of_status =
        || problems.as_object().into_iter().flatten().filter(|(_, known)| known["status"] == status);
    let is_of =
        |known: &Value| known["operations"].as_array().map(|ids| ids.iter().any(|id| id == operation));
    let own = of_status().find(|(_, known)| is_of(known) == Some(true));
    let (name, known) = own.or_else(|| of_status().find(|(_, known)| is_of(known).is_none()))?;
    let value = json!({
        "type": "about:blank",
        "title": StatusCode::from_u16(status).ok()?.canonical_reason(),
        "status": status,
        "detail": known["detail"],
        "code": known["code"],
        "errors": known.get("errors").unwrap_or(&json!([])),
        "requestId": "31820748-dbf1-4115-b1ca-734467747f73",
    });
    Some((name.clone(), value))
}

/// An example of the schema that `content` refers to, under the name of that schema.
fn answer(content: &Value, schemas: &Value, known: &Value) -> Option<(String, Value)> {
    let name = content["schema"]["$ref"].as_str()?.strip_prefix(SCHEMAS)?;
    Some((name.to_owned(), compose(&content["schema"], schemas, known)?))
}

/// An example of a stream, with one event.
fn events(content: &Value, schemas: &Value, known: &Value) -> Option<(String, Value)> {
    let name = content["x-event-data"]["$ref"].as_str()?.strip_prefix(SCHEMAS)?;
    let data = compose(&content["x-event-data"], schemas, known)?;
    let id = data["seq"].as_u64().unwrap_or(1);
    let event = data["event"].as_str().map(|event| format!("event: {event}\n")).unwrap_or_default();
    Some((format!("{name}Stream"), format!("id: {id}\n{event}data: {data}\n\n").into()))
}

/// An example of a schema: that of `examples.json`, else one composed from those of its members.
fn compose(schema: &Value, schemas: &Value, known: &Value) -> Option<Value> {
    if let Some(reference) = schema["$ref"].as_str().or_else(|| schema["allOf"][0]["$ref"].as_str()) {
        let name = reference.strip_prefix(SCHEMAS)?;
        return known.get(name).cloned().or_else(|| compose(schemas.get(name)?, schemas, known));
    }
    match schema["type"].as_str()? {
        "object" => {
            let members = schema["properties"].as_object()?.iter();
            members.map(|(name, member)| Some((name.clone(), compose(member, schemas, known)?))).collect()
        }
        "array" => Some(json!([compose(&schema["items"], schemas, known)?])),
        _ if schema["nullable"] == true => Some(Value::Null),
        _ => None,
    }
}
