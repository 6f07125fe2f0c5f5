//! Removes secrets from specifications for answers; everything else stays byte for byte as submitted.

use std::ops::Range;

use crate::credentials::is_prefix;
use crate::json::{Map, Reader, SyntaxError, Value, repaired};

/// Replaces a secret.
const REDACTED: &str = "REDACTED";

/// Parts of the names of members that hold secrets; compared in lower case without `_` and `-`.
const SECRET_NAMES: [&str; 7] =
    ["authorization", "password", "secret", "token", "apikey", "privatekey", "dsn"];

/// The specification without secrets, for answers.
///
/// Below `context` and `sinks`, values of headers and scalars with the name of a secret are replaced, and each `url` is
/// cut to scheme and host. The target's `base_url` loses user information, query and fragment. References to secrets
/// stay.
///
/// # Errors
/// The text is not JSON, which a stored specification always is.
pub fn redacted(spec: &str) -> Result<String, SyntaxError> {
    let repaired = repaired(spec); // keeps the length, so that offsets in it are offsets in `spec`
    let mut edits: Vec<(Range<usize>, String)> = Vec::new();
    Reader::new(&repaired).object(|reader, key| match key {
        "context" | "sinks" => edit(reader, &mut edits, |value| Some(without_secrets(value))),
        "target" => reader
            .object(|reader, key| match key {
                "base_url" | "baseUrl" => {
                    edit(reader, &mut edits, |url| Some(Value::text(base_url(url.as_str()?))))
                }
                _ => reader.skip(),
            })
            .map(drop),
        _ => reader.skip(),
    })?;
    let mut out = String::with_capacity(spec.len());
    let mut at = 0;
    for (place, text) in edits {
        out.push_str(&spec[at..place.start]);
        out.push_str(&text);
        at = place.end;
    }
    out.push_str(&spec[at..]);
    Ok(out)
}

/// Reads the next value and adds the edit that changes it, if `change` does.
fn edit(
    reader: &mut Reader<'_>,
    edits: &mut Vec<(Range<usize>, String)>,
    change: impl FnOnce(&Value<'_>) -> Option<Value<'static>>,
) -> Result<(), SyntaxError> {
    reader.peek()?; // skips white space, which is not part of the value
    let start = reader.offset();
    let value = reader.value()?;
    if let Some(changed) = change(&value).filter(|changed| *changed != value) {
        let text = serde_json::to_string(&changed).unwrap_or_else(|_| format!("\"{REDACTED}\""));
        edits.push((start..reader.offset(), text));
    }
    Ok(())
}

fn without_secrets(value: &Value<'_>) -> Value<'static> {
    match value {
        Value::List(items) => Value::List(items.iter().map(without_secrets).collect()),
        Value::Map(map) => each_member(map, |key, value| {
            let name: String = key.chars().filter(|c| !matches!(c, '_' | '-')).collect();
            let name = name.to_lowercase();
            match value {
                Value::Map(headers) if name == "headers" => {
                    each_member(headers, |_, header| hidden_header(header))
                }
                Value::Null | Value::Map(_) => without_secrets(value),
                Value::List(_) if name != "headers" => without_secrets(value),
                Value::Str(url) if name == "url" => Value::text(origin(url)),
                _ if name == "headers" || SECRET_NAMES.iter().any(|secret| name.contains(secret)) => {
                    Value::text(REDACTED)
                }
                _ => value.clone().into_owned(),
            }
        }),
        scalar => scalar.clone().into_owned(),
    }
}

fn each_member(map: &Map<'_>, change: impl Fn(&str, &Value<'_>) -> Value<'static>) -> Value<'static> {
    let changed = map.iter().map(|(key, value)| (key.to_string().into(), change(key, value)));
    Value::Map(Map::from_entries(changed.collect()))
}

/// Hides the value of a header unless it is a reference to a secret.
fn hidden_header(header: &Value<'_>) -> Value<'static> {
    match header {
        Value::Map(map) if is_reference(map) => header.clone().into_owned(),
        _ => Value::text(REDACTED),
    }
}

/// Whether an object is `{from_env}` or `{credential_ref, prefix?}`, with nothing besides that may be a secret.
fn is_reference(map: &Map<'_>) -> bool {
    let is_harmless = |key: &str, value: &Value<'_>| match (key, value) {
        ("from_env" | "fromEnv" | "credential_ref" | "credentialRef", Value::Str(_)) => true,
        ("prefix", Value::Str(text)) => is_prefix(text),
        _ => false,
    };
    map.iter().all(|(key, value)| is_harmless(key, value)) && map.iter().any(|(key, _)| key != "prefix")
}

/// Scheme, host and port of a URL; path and query may be secrets.
fn origin(url: &str) -> String {
    match reqwest::Url::parse(url) {
        Ok(parsed) if parsed.has_host() => format!("{}/{REDACTED}", parsed.origin().ascii_serialization()),
        _ => REDACTED.to_owned(),
    }
}

/// A URL without user information, query and fragment.
fn base_url(url: &str) -> String {
    let Ok(mut parsed) = reqwest::Url::parse(url) else {
        return REDACTED.to_owned();
    };
    let has_user = !parsed.username().is_empty() || parsed.password().is_some();
    if !has_user && parsed.query().is_none() && parsed.fragment().is_none() {
        return url.to_owned();
    }
    parsed.set_query(None);
    parsed.set_fragment(None);
    match parsed.set_username("").and_then(|()| parsed.set_password(None)) {
        Ok(()) => parsed.into(),
        Err(()) => REDACTED.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_hidden_and_the_rest_is_untouched() {
        let spec = r#"{ "target" : {"kind":"http","baseUrl": "http://u:p@h:1/a?k=1#f", "password":"kept: not below"},
            "context":{"headers":{"Authorization":"Bearer x","X":{"from_env":"NAME"}},"apiKey":"k","note":"n"},
            "sinks":[{"kind":"http_webhook","url":"https://h:9/t/oken?x","auth_token":1,"timeout_s":10}],
            "eval_set":{"headers":{"a":"\ud83d"}, "n":1.50} }"#;
        let expected = r#"{ "target" : {"kind":"http","baseUrl": "http://h:1/a", "password":"kept: not below"},
            "context":{"headers":{"Authorization":"REDACTED","X":{"from_env":"NAME"}},"apiKey":"REDACTED","note":"n"},
            "sinks":[{"kind":"http_webhook","url":"https://h:9/REDACTED","auth_token":"REDACTED","timeout_s":10}],
            "eval_set":{"headers":{"a":"\ud83d"}, "n":1.50} }"#;
        assert_eq!(redacted(spec).unwrap(), expected);
    }

    #[test]
    fn references_are_shown_and_nothing_that_only_looks_like_one() {
        let redacted_header = |header: &str| {
            let spec = redacted(&format!(r#"{{"context":{{"headers":{{"X":{header}}}}}}}"#)).unwrap();
            spec.strip_prefix(r#"{"context":{"headers":{"X":"#)
                .unwrap()
                .strip_suffix("}}}")
                .unwrap()
                .to_owned()
        };
        for header in [
            r#"{"fromEnv":"NAME"}"#,
            r#"{"credential_ref":"tempo"}"#,
            r#"{"prefix":"Bearer ","credentialRef":"tempo"}"#,
        ] {
            assert_eq!(redacted_header(header), header);
        }
        for header in [
            "{}",
            r#"{"prefix":"Bearer "}"#,
            r#"{"from_env":["s3cret"]}"#,
            r#"{"from_env":"NAME","value":"s3cret"}"#,
            r#"{"credential_ref":"tempo","prefix":"Bearer eyJhbGciOiJIUzI1NiJ9.s3cret"}"#,
            r#"["s3cret"]"#,
            "1",
        ] {
            assert_eq!(redacted_header(header), r#""REDACTED""#, "{header}");
        }
    }

    #[test]
    fn what_holds_no_secret_stays_byte_for_byte() {
        let spec = r#"{"context": { }, "sinks":[ ] ,"target":{"base_url":"http://h/a"} }"#;
        assert_eq!(redacted(spec).unwrap(), spec);
    }
}
