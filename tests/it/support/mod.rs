//! Builders of traces in few words, and the shortest way from text to turns and reports.

pub(crate) mod client;
pub(crate) mod cluster;
pub(crate) mod faulty;
pub(crate) mod http_server;
pub(crate) mod postgres;
pub(crate) mod processes;
pub(crate) mod proxy;
pub(crate) mod runs;
pub(crate) mod sinks;
pub(crate) mod tls;

use std::future::Future;
use std::io::Write;
use std::time::Duration;

use agentevals::eval_set::EvalSet;
use agentevals::evaluation::{Evaluator, EvaluatorKind, GroupBy, Plan, Report, Unmatched};
use agentevals::extraction::{self, Conversation};
use agentevals::metrics::catalog;
use agentevals::metrics::trajectory::TrajectoryOptions;
use agentevals::trace::{DEFAULT_MAX_BYTES, Document, Join, Trace, Warning, load};
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

/// Trace id of all spans that are built here, unless a test gives another.
pub(crate) const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

/// The id of span number `number`.
pub(crate) fn span_id(number: u64) -> String {
    format!("{number:016x}")
}

/// A span of [`TRACE`] that runs from second `number` to the next; parent 0 is none.
///
/// `attributes` is an object of plain values, written the way OTLP wants them.
pub(crate) fn span(number: u64, parent: u64, attributes: Value) -> Value {
    let mut span = json!({
        "traceId": TRACE,
        "spanId": span_id(number),
        "name": format!("span {number}"),
        "startTimeUnixNano": format!("{}", number * 1_000_000_000),
        "endTimeUnixNano": format!("{}", (number + 1) * 1_000_000_000),
        "attributes": key_values(&attributes),
    });
    if parent != 0 {
        span["parentSpanId"] = span_id(parent).into();
    }
    span
}

/// A model call; `input` and `output` are lists of messages.
pub(crate) fn chat(number: u64, parent: u64, input: Value, output: Value) -> Value {
    let attributes = json!({
        "gen_ai.operation.name": "chat",
        "gen_ai.input.messages": input.to_string(),
        "gen_ai.output.messages": output.to_string(),
    });
    span(number, parent, attributes)
}

/// A model call in which the user asks and the agent answers.
pub(crate) fn question(number: u64, text: &str, answer: &str) -> Value {
    chat(number, 0, json!([user(text)]), json!([assistant(answer)]))
}

/// What the user says.
pub(crate) fn user(text: &str) -> Value {
    json!({"role": "user", "parts": [{"type": "text", "content": text}]})
}

/// What the agent says.
pub(crate) fn assistant(text: &str) -> Value {
    json!({"role": "assistant", "parts": [{"type": "text", "content": text}]})
}

/// A message in which the model asks for one tool.
pub(crate) fn tool_call(id: &str, name: &str, arguments: Value) -> Value {
    let part = json!({"type": "tool_call", "id": id, "name": name, "arguments": arguments});
    json!({"role": "assistant", "parts": [part]})
}

/// A message that returns the result of a tool.
pub(crate) fn tool_result(id: &str, response: Value) -> Value {
    json!({"role": "tool", "parts": [{"type": "tool_call_response", "id": id, "response": response}]})
}

/// Attributes as a list of keys and `AnyValue`s.
pub(crate) fn key_values(attributes: &Value) -> Value {
    let entries = attributes.as_object().expect("attributes are an object");
    entries.iter().map(|(key, value)| json!({"key": key, "value": any_value(value)})).collect()
}

fn any_value(value: &Value) -> Value {
    match value {
        Value::Null => json!({}),
        Value::Bool(flag) => json!({"boolValue": flag}),
        Value::Number(number) if number.is_f64() => json!({"doubleValue": number}),
        Value::Number(number) => json!({"intValue": number.to_string()}),
        Value::String(text) => json!({"stringValue": text}),
        Value::Array(items) => {
            json!({"arrayValue": {"values": items.iter().map(any_value).collect::<Value>()}})
        }
        Value::Object(_) => json!({"kvlistValue": {"values": key_values(value)}}),
    }
}

/// An export document with these spans.
pub(crate) fn otlp(spans: impl IntoIterator<Item = Value>) -> Value {
    let spans: Value = spans.into_iter().collect();
    let resource = json!({"attributes": key_values(&json!({"service.name": "tests"}))});
    let scope = json!({"scope": {"name": "tests"}, "spans": spans});
    json!({"resourceSpans": [{"resource": resource, "scopeSpans": [scope]}]})
}

/// An export document with these log records.
pub(crate) fn otlp_logs(records: impl IntoIterator<Item = Value>) -> Value {
    let records: Value = records.into_iter().collect();
    json!({"resourceLogs": [{"scopeLogs": [{"logRecords": records}]}]})
}

/// A log record of [`TRACE`] that carries the messages of a model call; span 0 is none.
pub(crate) fn message_log(span: u64, input: Value, output: Value) -> Value {
    let messages = json!({
        "gen_ai.input.messages": input.to_string(),
        "gen_ai.output.messages": output.to_string(),
    });
    let mut record = json!({
        "traceId": TRACE,
        "eventName": "gen_ai.client.inference.operation.details",
        "attributes": key_values(&messages),
    });
    if span != 0 {
        record["spanId"] = span_id(span).into();
    }
    record
}

/// A Jaeger export with one trace of one process, `p1`, and these spans.
pub(crate) fn jaeger(spans: impl IntoIterator<Item = Value>) -> Value {
    let spans: Value = spans.into_iter().collect();
    let processes = json!({"p1": {"serviceName": "tests", "tags": []}});
    json!({"data": [{"traceID": TRACE, "spans": spans, "processes": processes}]})
}

/// A Jaeger span of [`TRACE`] that runs from second `number` to the next; `tags` are plain values.
pub(crate) fn jaeger_span(number: u64, references: Value, tags: Value) -> Value {
    let tags = tags.as_object().expect("tags are an object").iter();
    let tags: Value = tags.map(|(key, value)| json!({"key": key, "value": value})).collect();
    json!({
        "traceID": TRACE,
        "spanID": span_id(number),
        "operationName": format!("span {number}"),
        "references": references,
        "startTime": number * 1_000_000,
        "duration": 1_000_000,
        "processID": "p1",
        "tags": tags,
    })
}

/// A golden eval set; each case is its id and its conversation.
pub(crate) fn eval_set(cases: &[(&str, Value)]) -> EvalSet {
    let case = |(id, turns): &(&str, Value)| json!({"eval_id": id, "conversation": turns});
    let cases: Value = cases.iter().map(case).collect();
    EvalSet::parse(&json!({"eval_set_id": "tests", "eval_cases": cases}).to_string())
        .expect("the set is valid")
}

/// A golden turn: what the user says and what the agent should answer.
pub(crate) fn golden_turn(user: &str, response: &str) -> Value {
    json!({
        "user_content": {"parts": [{"text": user}]},
        "final_response": {"parts": [{"text": response}]},
    })
}

/// A document that is already in memory.
pub(crate) fn document(name: &str, bytes: impl AsRef<[u8]>) -> Document {
    Document::from_bytes(name, bytes.as_ref().to_vec(), DEFAULT_MAX_BYTES).expect("the bytes are text")
}

/// The bytes, compressed.
pub(crate) fn gzipped(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).expect("memory takes everything");
    encoder.finish().expect("memory takes everything")
}

/// What came out of reading one or more documents, taken as one evaluation unit.
pub(crate) struct Outcome {
    /// Ids of the traces.
    pub(crate) traces: Vec<String>,
    /// What was extracted from all of them together.
    pub(crate) conversation: Conversation,
    /// Warnings of reading and extraction.
    pub(crate) warnings: Vec<Warning>,
    /// What could not be read.
    pub(crate) errors: Vec<String>,
    /// Number of log records read.
    pub(crate) log_records: usize,
}

impl Outcome {
    /// The user's and the agent's text of each turn; empty where there is none.
    pub(crate) fn texts(&self) -> Vec<(&str, &str)> {
        let turns = self.conversation.invocations.iter();
        turns
            .map(|turn| {
                (turn.user_text.as_deref().unwrap_or(""), turn.response_text.as_deref().unwrap_or(""))
            })
            .collect()
    }

    /// The tool calls of all turns: name, arguments and result as JSON; an absent result is `null`.
    pub(crate) fn tools(&self) -> Vec<(&str, String, String)> {
        let calls = self.conversation.invocations.iter().flat_map(|turn| &turn.tool_calls);
        let result =
            |call: &agentevals::invocation::ToolCall| call.result.clone().unwrap_or_default().to_json_text();
        calls.map(|call| (&*call.name, call.args.value().to_json_text(), result(call))).collect()
    }

    /// The text of the only warning with this code.
    pub(crate) fn warning(&self, code: &str) -> &str {
        let mut found = self.warnings.iter().filter(|warning| warning.code == code);
        match (found.next(), found.next()) {
            (Some(warning), None) => &warning.text,
            _ => panic!("not exactly one warning `{code}` among {:#?}", self.warnings),
        }
    }

    /// Panics unless everything was read without loss.
    pub(crate) fn assert_clean(&self) -> &Self {
        assert!(self.errors.is_empty(), "{:#?}", self.errors);
        assert!(self.warnings.is_empty(), "{:#?}", self.warnings);
        self
    }
}

/// Reads documents and extracts the conversation of all their traces.
pub(crate) fn read_documents(documents: &[Document]) -> Outcome {
    let loaded = load(documents, None, Join::AcrossDocuments);
    let traces: Vec<&Trace<'_>> = loaded.traces.iter().collect();
    let conversation = extraction::extract(&traces);
    let mut warnings = loaded.warnings;
    warnings.extend(conversation.warnings.iter().cloned());
    Outcome {
        traces: loaded.traces.iter().map(|trace| trace.id.to_string()).collect(),
        conversation,
        warnings,
        errors: loaded.errors.iter().map(ToString::to_string).collect(),
        log_records: loaded.log_records,
    }
}

/// Reads texts, which are named `1.json`, `2.json` and so on.
pub(crate) fn read(texts: &[&str]) -> Outcome {
    let named = texts.iter().zip(1..).map(|(text, number)| document(&format!("{number}.json"), text));
    read_documents(&named.collect::<Vec<_>>())
}

/// Reads JSON documents.
pub(crate) fn read_json(values: &[Value]) -> Outcome {
    let texts: Vec<_> = values.iter().map(Value::to_string).collect();
    read(&texts.iter().map(String::as_str).collect::<Vec<_>>())
}

/// The metrics that compare with a golden.
pub(crate) const GOLDEN_METRICS: [&str; 2] = ["tool_trajectory_avg_score", "response_match_score"];

/// Evaluates documents with built-in metrics; what reading had to say is part of the report.
pub(crate) fn evaluate(
    documents: &[Document],
    metrics: &[&str],
    eval_set: Option<&EvalSet>,
    lenient: bool,
) -> Report {
    let evaluator = |name: &&str| Evaluator {
        name: (*name).to_owned(),
        threshold: catalog::DEFAULT_THRESHOLD,
        kind: EvaluatorKind::Builtin {
            metric: catalog::find(name).expect("the metric is known"),
            trajectory: TrajectoryOptions::default(),
        },
    };
    let plan = Plan {
        evaluators: metrics.iter().map(evaluator).collect(),
        group_by: GroupBy::Auto,
        lenient,
        unmatched: Unmatched::default(),
        max_concurrent_evals: 1,
    };
    let join = if lenient { Join::WithinDocuments } else { Join::AcrossDocuments };
    let loaded = load(documents, None, join);
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("the runtime starts");
    let evaluation = agentevals::evaluation::evaluate(&loaded.traces, eval_set, &plan, &(), &|| false);
    let mut report = runtime.block_on(evaluation).expect("nobody stops it");
    report.add_reading(loaded.errors.iter().map(ToString::to_string).collect(), loaded.warnings);
    report
}

/// The program, without what the caller's environment says about telemetry.
pub(crate) fn agentevals() -> assert_cmd::Command {
    let mut command = assert_cmd::Command::cargo_bin("agentevals").unwrap();
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("OTEL_") || text.starts_with("AGENTEVALS_") {
            command.env_remove(&name);
        }
    }
    command
}

/// Against hanging; no process takes that long.
pub(crate) const LONG_PATIENCE: Duration = Duration::from_secs(90);

/// Waits for what has to come about.
pub(crate) async fn eventually<T, F: Future<Output = Option<T>>>(
    what: &str,
    mut look: impl FnMut() -> F,
) -> T {
    let end = Instant::now() + LONG_PATIENCE;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < end, "this did not come about: {what}");
        sleep(Duration::from_millis(10)).await;
    }
}
