//! Reads YAML into the same value as JSON, so that the same code checks both.
//!
//! Aliases are refused, since a few lines of them can expand to gigabytes.

use std::borrow::Cow;
use std::collections::HashSet;

use saphyr::Scalar;
use saphyr_parser::{Event, Marker, Parser, Span};

use super::syntax::SyntaxError;
use super::value::{Map, Value};

/// Texts that nest deeper are refused.
const MAX_DEPTH: usize = 64;

/// A list or map whose end has not been read. `key` is a key whose value comes next.
enum Open<'a> {
    List(Vec<Value<'a>>),
    Map { entries: Vec<(Cow<'a, str>, Value<'a>)>, keys: HashSet<Cow<'a, str>>, key: Option<Cow<'a, str>> },
}

/// Parses the first document of a YAML text (YAML 1.2 core schema, of which JSON is a part).
///
/// # Errors
/// The text is not YAML, uses aliases, duplicate or non-scalar keys, or nests deeper than 64 levels.
pub fn parse_yaml(text: &str) -> Result<Value<'_>, SyntaxError> {
    let mut open: Vec<Open<'_>> = Vec::new();
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| located(error.info(), *error.marker()))?;
        let value = match event {
            Event::Alias(_) => return Err(fault("aliases are not supported; write the value out", &span)),
            Event::SequenceStart(..) | Event::MappingStart(..) if open.len() == MAX_DEPTH => {
                return Err(fault("nested deeper than 64 levels", &span));
            }
            Event::SequenceStart(..) => {
                open.push(Open::List(Vec::new()));
                continue;
            }
            Event::MappingStart(..) => {
                open.push(Open::Map { entries: Vec::new(), keys: HashSet::new(), key: None });
                continue;
            }
            Event::Scalar(text, style, _, tag) => {
                if let Some(Open::Map { keys, key: key @ None, .. }) = open.last_mut() {
                    if !keys.insert(text.clone()) {
                        return Err(fault(&format!("duplicate key `{text}`"), &span));
                    }
                    *key = Some(text);
                    continue;
                }
                match Scalar::parse_from_cow_and_metadata(text, style, tag.as_ref()) {
                    Some(scalar) => Value::from(scalar),
                    None => return Err(fault("the value does not fit its tag", &span)),
                }
            }
            Event::SequenceEnd | Event::MappingEnd => match open.pop() {
                Some(Open::List(items)) => Value::List(items),
                Some(Open::Map { entries, .. }) => Value::Map(Map::from_entries(entries)),
                None => Value::Null,
            },
            Event::DocumentEnd => return Ok(Value::Null), // a document without content
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentStart(_) => continue,
        };
        match open.last_mut() {
            None => return Ok(value),
            Some(Open::List(items)) => items.push(value),
            Some(Open::Map { entries, key, .. }) => match key.take() {
                Some(key) => entries.push((key, value)),
                None => return Err(fault("keys must be plain words", &span)),
            },
        }
    }
    Ok(Value::Null)
}

impl<'a> From<Scalar<'a>> for Value<'a> {
    fn from(scalar: Scalar<'a>) -> Self {
        match scalar {
            Scalar::Null => Self::Null,
            Scalar::Boolean(flag) => Self::Bool(flag),
            Scalar::Integer(number) => Self::Int(number),
            Scalar::FloatingPoint(number) => Self::Float(number.into_inner()),
            Scalar::String(text) => Self::Str(text),
        }
    }
}

fn fault(reason: &str, span: &Span) -> SyntaxError {
    located(reason, span.start)
}

fn located(reason: &str, at: Marker) -> SyntaxError {
    let reason = format!("invalid YAML: {reason}");
    SyntaxError { reason, line: at.line(), column: at.col() + 1, offset: at.index() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn yaml_and_json_give_the_same_value() {
        let yaml = "a: 1\nb: [x, {y: z}]\nc: true\nd:\ne: '1'\nf: 0.5\n";
        let json = r#"{"a": 1, "b": ["x", {"y": "z"}], "c": true, "d": null, "e": "1", "f": 0.5}"#;
        assert_eq!(parse_yaml(yaml).unwrap().to_json_text(), json);
        assert_eq!(parse_yaml(json).unwrap().to_json_text(), json);
        assert!(parse_yaml("").unwrap().is_null());
    }

    #[test]
    fn what_could_blow_up_or_be_misread_is_refused() {
        for (text, reason) in [
            ("a: &x 1\nb: *x\n", "aliases"),
            ("a: 1\na: 2\n", "duplicate key `a`"),
            ("? [a]\n: 1\n", "keys must be plain"),
            ("a: [1\n", "invalid YAML"),
        ] {
            let error = parse_yaml(text).unwrap_err();
            assert!(error.reason.contains(reason), "{text}: {error}");
        }
        assert!(parse_yaml(&"[".repeat(10_000)).is_err());
        assert!(parse_yaml(&format!("{}{}", "[".repeat(65), "]".repeat(65))).is_err());
    }
}
