//! The recordings: requests to the reference and what it answered.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::Deserialize;
use serde_json::{Map, Value};

/// One exchange with the reference, or what somebody else saw of it.
#[derive(Debug, Deserialize)]
pub(super) struct Recording {
    /// Number and subject.
    pub(super) name: String,
    /// What was asked.
    pub(super) request: Option<Request>,
    /// The status answered.
    #[serde(default)]
    pub(super) status: u16,
    /// The body answered: JSON, text, or the events of a stream under `$events`.
    #[serde(default)]
    pub(super) body: Value,
    /// Headers answered that mean something.
    #[serde(default)]
    pub(super) headers: BTreeMap<String, String>,
    /// What the receiver of webhooks saw.
    pub(super) deliveries: Option<Vec<Value>>,
    /// What the trace server saw.
    pub(super) requests: Option<Vec<Value>>,
    /// The lines of the file that two runs were told to write to.
    pub(super) lines: Option<Vec<Value>>,
}

/// A request as it was sent.
#[derive(Debug, Deserialize)]
pub(super) struct Request {
    pub(super) method: String,
    pub(super) path: String,
    #[serde(default)]
    pub(super) query: Map<String, Value>,
    #[serde(default)]
    pub(super) headers: BTreeMap<String, String>,
    pub(super) json: Option<Value>,
    pub(super) raw_body: Option<String>,
    #[serde(default)]
    pub(super) form: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) files: Vec<File>,
}

/// A file of a form.
#[derive(Debug, Deserialize)]
pub(super) struct File {
    pub(super) field: String,
    pub(super) filename: String,
    pub(super) content: Value,
}

impl Recording {
    /// The run that was asked about, by the path.
    pub(super) fn run(&self) -> Option<&str> {
        let path = self.request.as_ref()?.path.strip_prefix("/api/runs/")?;
        path.split('/').next()
    }

    /// Whether it submits a run.
    pub(super) fn is_submission(&self) -> bool {
        self.request.as_ref().is_some_and(|request| request.method == "POST" && request.path == "/api/runs")
    }
}

/// All recordings in the order in which they were made, with their documents put in.
pub(super) fn load() -> Vec<Recording> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/http/recordings");
    let read = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
    let documents: Map<String, Value> = serde_json::from_str(&read("documents.json")).unwrap();
    let recording = |line: &str| {
        let mut value: Value = serde_json::from_str(line).unwrap();
        put_in(&mut value, &documents);
        serde_json::from_value(value).unwrap()
    };
    read("recordings.jsonl").lines().map(recording).collect()
}

/// Replaces `{"$document": NAME}` by the document.
fn put_in(value: &mut Value, documents: &Map<String, Value>) {
    match value {
        Value::Object(members) => match members.get("$document").and_then(Value::as_str) {
            Some(name) => *value = documents[name].clone(),
            None => members.values_mut().for_each(|member| put_in(member, documents)),
        },
        Value::Array(items) => items.iter_mut().for_each(|item| put_in(item, documents)),
        _ => {}
    }
}
