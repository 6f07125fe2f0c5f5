//! What an answer lacks of the recorded one, or says differently.

use serde_json::{Value, json};

/// Members that are other for each run: times, durations, who did it.
const VARYING: [&str; 9] = [
    "createdAt",
    "startedAt",
    "finishedAt",
    "durationMs",
    "latencyMs",
    "workerId",
    "creationTimestamp",
    "ms",
    "version",
];

/// Members that hold texts for people, which are our own: there or not there is what counts.
const WORDS: [&str; 5] = ["error", "errorText", "errors", "conversionWarnings", "description"];

/// A place where two answers differ.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Difference {
    /// Where, as `data.traceResults.0.score`.
    pub(super) place: String,
    /// What was recorded and what was found, shortened.
    pub(super) what: String,
}

/// Everything that `found` lacks of `recorded` or says differently; it may say more.
pub(super) fn differences(recorded: &Value, found: &Value) -> Vec<Difference> {
    let mut differences = Vec::new();
    match (recorded.get("$events"), found.get("$events")) {
        (Some(recorded), Some(found)) => {
            compare(String::new(), &told(recorded), Some(&told(found)), &mut differences);
        }
        _ => compare(String::new(), recorded, Some(found), &mut differences),
    }
    differences
}

/// What a stream has told in all: the reference repeats earlier results in each event, we do not.
fn told(events: &Value) -> Value {
    let mut told = json!({"performance": [], "progress": {}});
    for event in events.as_array().unwrap() {
        let data = &event["data"];
        if event["event"] == "performance_metrics" {
            told["performance"].as_array_mut().unwrap().push(data.clone());
        } else if let Some(progress) = data.get("traceProgress") {
            let of_trace = &mut told["progress"][progress["traceId"].as_str().unwrap()];
            let earlier = of_trace.take();
            *of_trace = progress["partialResult"].clone();
            of_trace["metricResults"] = with_earlier(&earlier, of_trace);
            for (member, value) in earlier.as_object().into_iter().flatten() {
                if of_trace[member].is_null() || of_trace[member] == json!([]) {
                    of_trace[member] = value.clone();
                }
            }
        } else if data.get("message").is_none() {
            told["last"] = data.clone();
        }
    }
    told
}

/// The results of a trace told before, and those told now.
fn with_earlier(earlier: &Value, now: &Value) -> Value {
    let results = |told: &Value| told["metricResults"].as_array().cloned().unwrap_or_default();
    let now = results(now);
    let is_old = |result: &Value| now.iter().all(|new| new["metricName"] != result["metricName"]);
    let earlier: Vec<_> = results(earlier).into_iter().filter(is_old).collect();
    earlier.into_iter().chain(now).collect()
}

fn compare(place: String, recorded: &Value, found: Option<&Value>, out: &mut Vec<Difference>) {
    let Some(found) = found else {
        // Null and nothing are the same to a client that looks for a member.
        if !recorded.is_null() {
            out.push(Difference { place, what: format!("missing, was {}", short(recorded)) });
        }
        return;
    };
    let name = place.rsplit('.').next().unwrap_or_default();
    let is_same = match (recorded, found) {
        _ if VARYING.contains(&name) => recorded.is_null() == found.is_null(),
        (Value::String(_), Value::String(_)) if WORDS.contains(&name) => true,
        (Value::Array(recorded), Value::Array(found)) if WORDS.contains(&name) => {
            recorded.len() == found.len()
        }
        (Value::Object(recorded), Value::Object(found)) => {
            for (member, recorded) in recorded {
                compare(below(&place, member), recorded, found.get(member), out);
            }
            true
        }
        (Value::Array(recorded), Value::Array(found)) if recorded.len() == found.len() => {
            for (at, item) in recorded.iter().enumerate() {
                compare(below(&place, &at.to_string()), item, counterpart(found, at, item), out);
            }
            true
        }
        (Value::Number(recorded), Value::Number(found)) => close(recorded.as_f64(), found.as_f64()),
        (recorded, found) => recorded == found,
    };
    if !is_same {
        out.push(Difference { place, what: format!("was {}, is {}", short(recorded), short(found)) });
    }
}

/// What to compare an item with: the same result wherever it stands, since the order is that of the end there.
fn counterpart<'a>(found: &'a [Value], at: usize, item: &Value) -> Option<&'a Value> {
    let id = |item: &Value| item.get("resultId").or(item.pointer("/result/resultId")).cloned();
    match id(item) {
        Some(wanted) => found.iter().find(|found| id(found).as_ref() == Some(&wanted)),
        None => found.get(at),
    }
}

fn below(place: &str, member: &str) -> String {
    if place.is_empty() { member.to_owned() } else { format!("{place}.{member}") }
}

fn close(recorded: Option<f64>, found: Option<f64>) -> bool {
    match (recorded, found) {
        (Some(recorded), Some(found)) => (recorded - found).abs() <= 1e-9 * recorded.abs().max(1.0),
        _ => false,
    }
}

fn short(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(160) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
