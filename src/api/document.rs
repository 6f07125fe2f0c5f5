//! The OpenAPI document: generated from the types, then made to say what poem-openapi cannot.

use std::collections::{BTreeMap, HashMap};

use poem::endpoint::BoxEndpoint;
use poem::http::Method;
use poem_openapi::registry::{MetaApi, Registry};
use poem_openapi::{ExtraHeader, LicenseObject, OpenApi, OpenApiService, Tags};
use serde_json::{Map, Value, json};

use super::{Api, access, examples, submission};

/// Groups of operations.
#[derive(Tags)]
pub(super) enum Tag {
    /// Durable runs: submit, look at, act on.
    Runs,
    /// Evaluating traces that are sent along, while their sender waits.
    Evaluation,
    /// Messages to the sinks of runs: where they stand, and sending them again.
    Deliveries,
    /// Following runs as they go, by server-sent events.
    Events,
    /// Probes for those who operate the service.
    Health,
}

const ABOUT: &str = "Scores the behaviour of AI agents from OpenTelemetry traces that already exist. Runs are \
                     queued, executed by workers, and kept.";

/// The API with what the document says about it as a whole.
pub(super) fn service<A: OpenApi>(api: A) -> OpenApiService<A, ()> {
    let request_id = ExtraHeader::new("X-Request-Id")
        .description("Names the request in the service's log: the caller's, if it sent one, else a new one.");
    let license = LicenseObject::new("Apache-2.0").url("https://www.apache.org/licenses/LICENSE-2.0");
    OpenApiService::new(api, "agentevals", env!("CARGO_PKG_VERSION"))
        .description(ABOUT)
        .server("/")
        .license(license)
        .extra_response_header::<String, _>(request_id)
}

/// The API without anything behind it, to describe it.
struct Description;

impl OpenApi for Description {
    fn meta() -> Vec<MetaApi> {
        Api::meta()
    }

    fn register(registry: &mut Registry) {
        Api::register(registry);
    }

    fn add_routes(self, _: &mut HashMap<String, HashMap<Method, BoxEndpoint<'static>>>) {}
}

/// The OpenAPI document of the service, as indented JSON.
pub fn openapi_document() -> String {
    let generated = service(Description).spec();
    let mut document: Value = serde_json::from_str(&generated).unwrap_or_default();
    mend(&mut document);
    format!("{document:#}\n")
}

/// Swagger UI for the document, as one page that asks nobody else for anything.
pub(super) fn swagger_ui() -> String {
    let service = service(Description);
    service.swagger_ui_html().replacen(&service.spec(), openapi_document().trim_end(), 1)
}

/// Schemas whose unknown members are refused; poem-openapi does not write that down.
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

type Members = Map<String, Value>;

fn mend(document: &mut Value) {
    document["openapi"] = "3.0.3".into();
    let schemas = &mut document["components"]["schemas"];
    schemas["RunSubmission"]["example"] = submission::example();
    for name in CLOSED {
        schemas[name]["additionalProperties"] = json!(false);
    }
    access::describe(document);
    let schemas = &mut document["components"]["schemas"];
    let variants = schemas.as_object_mut().map(fold_variants).unwrap_or_default();
    let types = schemas.as_object().map(types).unwrap_or_default();
    let unions = schemas.as_object().map(unions).unwrap_or_default();
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
    // Generators name the schemas of members after both; this one would be called like `RunSpec`.
    document["components"]["schemas"]["Run"]["properties"]["spec"]["title"] = "StoredSpec".into();
    examples::add(document);
}

/// Calls `change` on every object, outermost first.
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

const SCHEMAS: &str = "#/components/schemas/";

/// Puts the discriminator of a union into the schema of each variant, in place of a schema `Union_Variant` that
/// combines the two and could not be closed; answers with what took the place of which.
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

/// Points references, and the mappings of discriminators, at the schemas that took others' place.
fn point_at_folded(object: &mut Members, folded: &BTreeMap<String, String>) {
    for value in object.values_mut() {
        if let Some(reference) = value.as_str().and_then(|text| folded.get(text)) {
            *value = reference.as_str().into();
        }
    }
}

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

/// What is said of a reference is said once; and a reference that may be null has null as its other choice, because
/// `nullable` adds nothing to what the schema referred to allows, and counts only beside a `type`.
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

/// References to schemas that are one of several.
fn unions(schemas: &Members) -> Vec<String> {
    let unions = schemas.iter().filter(|(_, schema)| schema.get("discriminator").is_some());
    unions.map(|(name, _)| format!("{SCHEMAS}{name}")).collect()
}

/// A member that is described beside its reference to a union: generators take `allOf` there for a variant of the union.
fn refer_to_unions(object: &mut Members, unions: &[String]) {
    let is_union = |parts: &Value| unions.iter().any(|name| parts[0]["$ref"] == **name);
    if object.get("allOf").is_some_and(is_union)
        && let Some(parts) = object.remove("allOf")
    {
        object.insert("oneOf".to_owned(), parts);
    }
}

/// Spells response headers as everybody does; poem-openapi shouts them.
fn spell_headers(object: &mut Members) {
    let Some(Value::Object(headers)) = object.get_mut("headers") else { return };
    // A member of that name is not meant.
    if headers.values().any(|header| header.get("schema").is_none()) {
        return;
    }
    let spelled = std::mem::take(headers).into_iter().map(|(name, header)| (spelled(&name), header));
    *headers = spelled.collect();
}

/// A header that can be a list is one text all the same, which generators of clients insist on.
fn take_headers_as_text(object: &mut Members) {
    if object.get("in") == Some(&"header".into()) && object["schema"]["type"] == "array" {
        let items = object["schema"]["items"].take();
        object.insert("schema".to_owned(), items);
    }
}

/// OpenAPI 3.0 has no words for streams of events: the body is text, and an extension says what the data of each event
/// is. As an array, which it is not, clients would wait for its end and read it as JSON.
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

/// A union of which a choice is no object is none itself; poem-openapi says that every union is one.
fn leave_type_open(object: &mut Members) {
    let choices = object.get("oneOf").and_then(Value::as_array).into_iter().flatten();
    if choices.filter_map(|choice| choice.get("type")).any(|kind| kind != "object") {
        object.remove("type");
    }
}

/// Paths with the methods they answer to, for `Allow`.
pub(super) fn methods() -> Vec<(String, Vec<Method>)> {
    let paths = Api::meta().into_iter().flat_map(|api| api.paths);
    paths
        .map(|path| (path.path, path.operations.into_iter().map(|operation| operation.method).collect()))
        .collect()
}
