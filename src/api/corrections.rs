//! Corrections of the generated OpenAPI document, where poem-openapi says too little or generators of clients stumble.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::submission;

/// Schemas that refuse unknown members; poem-openapi has no `additionalProperties: false`.
const CLOSED: [&str; 16] = [
    "EvalConfig",
    "EvaluateConfig",
    "EvaluateRequest",
    "BuiltinEvaluator",
    "CodeEvaluator",
    "Redelivery",
    "WebhookSink",
    "WebhookAuth",
    "FileSink",
    "StdoutSink",
    "SecretFromCredential",
    "EnvCredential",
    "FileCredential",
    "KubernetesCredential",
    "HeaderFromEnv",
    "HeaderFromCredential",
];

/// The members of a JSON object.
pub(super) type Members = Map<String, Value>;

/// Corrects the generated document.
pub(super) fn apply(document: &mut Value) {
    document["openapi"] = "3.0.3".into();
    let schemas = &mut document["components"]["schemas"];
    schemas["RunSubmission"]["example"] = submission::example();
    for name in CLOSED {
        schemas[name]["additionalProperties"] = json!(false);
    }
    let variants = schemas.as_object_mut().map(fold_variants).unwrap_or_default();
    let types = schemas.as_object().map(types).unwrap_or_default();
    let unions = schemas.as_object().map(unions).unwrap_or_default();
    // The order matters: the later steps look up the schemas to which the first one has redirected references.
    visit(document, &mut |object| {
        point_at_folded(object, &variants);
        leave_out_defaults(object);
        spell_headers(object);
        leave_type_open(object);
        offer_null(object, &types);
        refer_to_unions(object, &unions);
        take_headers_as_text(object);
        take_streams_as_text(object);
    });
    // Generators of clients would call the type of this member `RunSpec`, which is another schema.
    document["components"]["schemas"]["Run"]["properties"]["spec"]["title"] = "StoredSpec".into();
}

/// The members of an object, to be changed; none of other values.
pub(super) fn members(value: &mut Value) -> impl Iterator<Item = (&String, &mut Value)> {
    value.as_object_mut().into_iter().flatten()
}

/// Calls `change` on every object, the outermost first.
fn visit(value: &mut Value, change: &mut impl FnMut(&mut Members)) {
    match value {
        Value::Object(members) => {
            change(members);
            members.values_mut().for_each(|member| visit(member, change));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| visit(item, change)),
        _ => {}
    }
}

/// Where references to schemas lead.
pub(super) const SCHEMAS: &str = "#/components/schemas/";

/// Moves the discriminator of a union into the schema of each variant. poem-openapi makes a schema `Union_Variant`
/// instead, which combines the two by `allOf` and could not refuse unknown members. Returns the references to the removed
/// schemas, each with its replacement.
fn fold_variants(schemas: &mut Members) -> BTreeMap<String, String> {
    let mut folded = BTreeMap::new();
    for name in schemas.keys().filter(|name| name.contains('_')).cloned().collect::<Vec<_>>() {
        let Some(variant) = schemas.remove(&name) else { continue };
        let reference = variant["allOf"][1]["$ref"].as_str().unwrap_or_default().to_owned();
        let tag = &variant["allOf"][0];
        let target = &mut schemas[reference.trim_start_matches(SCHEMAS)];
        for (member, schema) in tag["properties"].as_object().into_iter().flatten() {
            target["properties"][member] = schema.clone();
        }
        let required = [&target["required"], &tag["required"]].map(|names| names.as_array().cloned());
        target["required"] = required.into_iter().flatten().flatten().collect();
        folded.insert(format!("{SCHEMAS}{name}"), reference);
    }
    folded
}

/// Replaces references to removed schemas, in mappings of discriminators too.
fn point_at_folded(object: &mut Members, folded: &BTreeMap<String, String>) {
    for value in object.values_mut() {
        if let Some(reference) = value.as_str().and_then(|text| folded.get(text)) {
            *value = reference.as_str().into();
        }
    }
}

/// Removes members that have the default of OpenAPI.
fn leave_out_defaults(object: &mut Members) {
    for (name, default) in [("deprecated", false), ("explode", true)] {
        if object.get(name) == Some(&default.into()) {
            object.remove(name);
        }
    }
}

/// The type of each schema, by reference.
fn types(schemas: &Members) -> BTreeMap<String, Value> {
    schemas.iter().map(|(name, schema)| (format!("{SCHEMAS}{name}"), schema["type"].clone())).collect()
}

/// Makes a nullable reference a choice between the schema and null: beside a reference `nullable` has no effect, since
/// it counts only beside a `type`. Removes descriptions from `allOf`, which the member itself repeats.
fn offer_null(object: &mut Members, types: &BTreeMap<String, Value>) {
    let Some(parts) = object.get_mut("allOf").and_then(Value::as_array_mut) else { return };
    parts.retain(|part| part.get("$ref").is_some() || part.get("properties").is_some());
    let known = parts.first().and_then(|part| types.get(part["$ref"].as_str()?)).cloned();
    if let (Some(known), Some(_)) = (known, object.get("nullable")) {
        let nothing = json!({"type": known, "enum": [null], "nullable": true});
        let reference = object.remove("allOf").map(|mut parts| parts[0].take());
        object.remove("nullable");
        object.insert("oneOf".to_owned(), json!([reference, nothing]));
    }
}

/// References to the schemas that are unions.
fn unions(schemas: &Members) -> Vec<String> {
    let unions = schemas.iter().filter(|(_, schema)| schema.get("discriminator").is_some());
    unions.map(|(name, _)| format!("{SCHEMAS}{name}")).collect()
}

/// Makes a reference to a union in `allOf` one in `oneOf`: generators of clients take the former for another variant.
fn refer_to_unions(object: &mut Members, unions: &[String]) {
    let is_union = |parts: &Value| unions.iter().any(|name| parts[0]["$ref"] == **name);
    if object.get("allOf").is_some_and(is_union)
        && let Some(parts) = object.remove("allOf")
    {
        object.insert("oneOf".to_owned(), parts);
    }
}

/// Spells response headers as usual; poem-openapi writes them in capitals.
fn spell_headers(object: &mut Members) {
    let Some(Value::Object(headers)) = object.get_mut("headers") else { return };
    // A schema may have a property `headers`; response headers are those with a `schema`.
    if headers.values().any(|header| header.get("schema").is_none()) {
        return;
    }
    let spelled = std::mem::take(headers).into_iter().map(|(name, header)| (spelled(&name), header));
    *headers = spelled.collect();
}

/// Describes header parameters as text: generators of clients do not support arrays in headers.
fn take_headers_as_text(object: &mut Members) {
    if object.get("in") == Some(&"header".into()) && object["schema"]["type"] == "array" {
        let items = object["schema"]["items"].take();
        object.insert("schema".to_owned(), items);
    }
}

/// Describes a stream of events as text, with the schema of each event's data in the extension `x-event-data`: OpenAPI
/// 3.0 cannot describe streams. Clients would read an array to its end and parse it as JSON.
fn take_streams_as_text(object: &mut Members) {
    let Some(Value::Object(content)) = object.get_mut("text/event-stream") else { return };
    if let Some(data) = content.get_mut("schema").and_then(|schema| schema.get_mut("items")).map(Value::take)
    {
        content.insert("schema".to_owned(), json!({"type": "string", "format": "event-stream"}));
        content.insert("x-event-data".to_owned(), data);
    }
}

fn spelled(name: &str) -> String {
    match name {
        "ETAG" => return "ETag".to_owned(),
        "WWW-AUTHENTICATE" => return "WWW-Authenticate".to_owned(),
        _ => {}
    }
    let words = name.split('-').map(|word| {
        let (first, rest) = word.split_at(1);
        format!("{}{}", first.to_ascii_uppercase(), rest.to_ascii_lowercase())
    });
    words.collect::<Vec<_>>().join("-")
}

/// Removes the type from a union that has a choice besides objects; poem-openapi declares every union an object.
fn leave_type_open(object: &mut Members) {
    let choices = object.get("oneOf").and_then(Value::as_array).into_iter().flatten();
    if choices.filter_map(|choice| choice.get("type")).any(|kind| kind != "object") {
        object.remove("type");
    }
}
