//! Messages as JSON lines, as the reference writes them: one for each result, one for the end.

use std::fmt::Write;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::outbox::sent::SendError;

/// The members of a stored body, as raw JSON.
#[derive(Deserialize)]
struct StoredBody<'a> {
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

/// The lines of a stored body, each with its line break.
///
/// # Errors
/// The text is not the body of a message.
pub(super) fn lines(body: &str) -> Result<String, SendError> {
    let stored: StoredBody<'_> =
        serde_json::from_str(body).map_err(|_| SendError::new("the stored text is no message"))?;
    let mut lines = String::with_capacity(body.len() + 100);
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

fn line(lines: &mut String, stored: &StoredBody<'_>, members: &[(&str, Option<&RawValue>)]) {
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
        // Details that evaluators wrote may span several lines; JSON strings hold no raw line break.
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
