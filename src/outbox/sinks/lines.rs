//! Messages as lines of JSON, as the reference writes them: one for each result, one for the end.

use std::fmt::Write;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::outbox::sent::SendError;

/// A stored message, of which only the parts are looked at.
#[derive(Deserialize)]
struct StoredPayload<'a> {
    #[serde(borrow)]
    phase: &'a RawValue,
    #[serde(borrow)]
    run_id: &'a RawValue,
    #[serde(borrow, default)]
    results: Vec<&'a RawValue>,
    #[serde(borrow)]
    summary: Option<&'a RawValue>,
    #[serde(borrow)]
    verdict: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
    #[serde(borrow)]
    code: Option<&'a RawValue>,
}

/// The lines of a stored message, each with its end.
///
/// # Errors
/// It is no message.
pub(super) fn lines(payload: &str) -> Result<String, SendError> {
    let stored: StoredPayload<'_> =
        serde_json::from_str(payload).map_err(|_| SendError::new("what is stored is no message"))?;
    let mut lines = String::with_capacity(payload.len() + 100);
    for result in &stored.results {
        line(&mut lines, &stored, &[("result", Some(result))]);
    }
    let end = [
        ("summary", stored.summary),
        ("verdict", stored.verdict),
        ("error", stored.error),
        ("code", stored.code),
    ];
    if end.iter().any(|(_, value)| value.is_some()) {
        line(&mut lines, &stored, &end);
    }
    Ok(lines)
}

fn line(lines: &mut String, stored: &StoredPayload<'_>, members: &[(&str, Option<&RawValue>)]) {
    let start = lines.len();
    // Writing to a string cannot fail.
    let _ = write!(lines, r#"{{"phase":{},"run_id":{}"#, stored.phase, stored.run_id);
    for (name, value) in members {
        if let Some(value) = value {
            let _ = write!(lines, r#","{name}":{value}"#);
        }
    }
    lines.push('}');
    if lines[start..].contains(['\n', '\r']) {
        // JSON that others wrote may go over several lines; within its strings there is no line break.
        let one = lines[start..].replace(['\n', '\r'], " ");
        lines.truncate(start);
        lines.push_str(&one);
    }
    lines.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_result_and_the_end_is_a_line() {
        let partial = "{\"phase\":\"partial\",\"run_id\":\"r\",\"attempt\":1,\"results\":[{\"a\":\n1},{\"b\": \"x\\ny\"}]}";
        let expected = "{\"phase\":\"partial\",\"run_id\":\"r\",\"result\":{\"a\": 1}}\n\
                        {\"phase\":\"partial\",\"run_id\":\"r\",\"result\":{\"b\": \"x\\ny\"}}\n";
        assert_eq!(lines(partial).unwrap(), expected);
        let end =
            r#"{"phase":"final","run_id":"r","attempt":2,"verdict":"passed","summary":{"trace_count":1}}"#;
        let expected = r#"{"phase":"final","run_id":"r","summary":{"trace_count":1},"verdict":"passed"}"#;
        assert_eq!(lines(end).unwrap(), format!("{expected}\n"));
        let error = r#"{"phase" : "error", "run_id" : "r", "attempt" : 1, "error" : "why", "code" : "c"}"#;
        let expected = r#"{"phase":"error","run_id":"r","error":"why","code":"c"}"#;
        assert_eq!(lines(error).unwrap(), format!("{expected}\n"));
        assert!(lines("[]").is_err());
    }
}
