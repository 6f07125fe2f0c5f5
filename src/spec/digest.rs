//! The digest of a specification: equal for the same work, regardless of spelling and formatting.

use sha2::{Digest, Sha256};

use crate::json::{Map, Value};

/// SHA-256 of a specification's canonical form; equal digests mean the same work.
pub type SpecDigest = [u8; 32];

/// Prefix of the canonical form, changed together with it, so that digests of two forms never match by accident.
const FORM: &[u8] = b"agentevals run spec 1\n";

/// Known members of a specification: both spellings, and the default, which equals leaving the member out.
const SPEC_MEMBERS: [(&str, &str, Absent); 7] = [
    ("approach", "approach", Absent::Text("trace_replay")),
    ("target", "target", Absent::Null),
    ("eval_set", "evalSet", Absent::Null),
    ("eval_config", "evalConfig", Absent::Empty),
    ("sinks", "sinks", Absent::Empty),
    ("context", "context", Absent::Empty),
    ("credential_refs", "credentialRefs", Absent::Empty),
];

/// Known members of a target.
const TARGET_MEMBERS: [(&str, &str, Absent); 7] = [
    ("kind", "kind", Absent::Null),
    ("inline", "inline", Absent::Null),
    ("base_url", "baseUrl", Absent::Null),
    ("trace_id", "traceId", Absent::Null),
    ("trace_format", "traceFormat", Absent::Null),
    ("trace_count", "traceCount", Absent::Null),
    ("trace_files", "traceFiles", Absent::Null),
];

/// A default besides null that equals leaving the member out.
#[derive(Clone, Copy)]
enum Absent {
    Null,
    Empty,
    Text(&'static str),
}

impl Absent {
    fn is(self, value: &Value<'_>) -> bool {
        value.is_null()
            || match self {
                Self::Null => false,
                Self::Empty => matches!(value, Value::List(_) | Value::Map(_)) && value.is_empty(),
                Self::Text(text) => value.as_str() == Some(text),
            }
    }
}

/// Digests a specification.
///
/// Order of members, white space, escapes, the spelling of known members, and members with default values make no
/// difference; `1` equals `1.0`, as in Python.
pub(crate) fn digest(spec: &Value<'_>) -> SpecDigest {
    let mut hash = Sha256::new_with_prefix(FORM);
    match spec {
        Value::Map(map) => write_known(map, &SPEC_MEMBERS, &mut hash, |name, value, hash| match value {
            Value::Map(target) if name == "target" => {
                write_known(target, &TARGET_MEMBERS, hash, |_, value, hash| write(value, hash));
            }
            value => write(value, hash),
        }),
        other => write(other, &mut hash),
    }
    hash.finalize().into()
}

fn write_known(
    map: &Map<'_>,
    known: &[(&'static str, &str, Absent)],
    hash: &mut Sha256,
    mut write_value: impl FnMut(&str, &Value<'_>, &mut Sha256),
) {
    let mut entries = Vec::with_capacity(map.len());
    for (key, value) in map.iter() {
        match known.iter().find(|(snake, camel, _)| key == snake || key == camel) {
            Some((_, _, absent)) if absent.is(value) => {}
            Some((snake, _, _)) => entries.push((*snake, value)),
            None => entries.push((key, value)),
        }
    }
    write_entries(entries, hash, &mut write_value);
}

fn write_entries(
    mut entries: Vec<(&str, &Value<'_>)>,
    hash: &mut Sha256,
    write_value: &mut dyn FnMut(&str, &Value<'_>, &mut Sha256),
) {
    entries.sort_by_key(|(key, _)| *key);
    hash.update(format!("m{}:", entries.len()));
    for (key, value) in entries {
        write_text(key, hash);
        write_value(key, value, hash);
    }
}

/// Hashes a value so that different values never hash the same bytes: a letter for its kind, lengths before contents.
fn write(value: &Value<'_>, hash: &mut Sha256) {
    match value {
        Value::Null => hash.update(b"n"),
        Value::Bool(flag) => hash.update(if *flag { b"t" } else { b"f" }),
        Value::Int(number) => hash.update(format!("i{number};")),
        Value::BigInt(number) => hash.update(format!("i{number};")),
        Value::Float(number) if number.is_finite() && number.fract() == 0.0 => {
            hash.update(format!("i{:.0};", number + 0.0)); // turns −0 into 0
        }
        Value::Float(number) => hash.update(format!("d{number};")),
        Value::Str(text) => write_text(text, hash),
        Value::List(items) => {
            hash.update(format!("l{}:", items.len()));
            items.iter().for_each(|item| write(item, hash));
        }
        Value::Map(map) => {
            let entries = map.iter().map(|(key, value)| (&**key, value)).collect();
            write_entries(entries, hash, &mut |_, value, hash| write(value, hash));
        }
    }
}

fn write_text(text: &str, hash: &mut Sha256) {
    hash.update(format!("s{}:", text.len()));
    hash.update(text);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::json::parse;

    fn digest_of(text: &str) -> SpecDigest {
        digest(&parse(text).unwrap())
    }

    #[test]
    fn what_means_the_same_has_the_same_digest() {
        let plain = digest_of(r#"{"target":{"kind":"inline","inline":{"n":1}},"eval_set":{"a":"é"}}"#);
        for same in [
            r#" { "evalSet" : {"a":"\u00e9"}, "target":{"inline":{"n":1.0},"kind":"inline"} } "#,
            r#"{"approach":"trace_replay","target":{"kind":"inline","inline":{"n":1},"baseUrl":null,"trace_id":null},
                "evalSet":{"a":"é"},"evalConfig":{},"sinks":[],"context":{},"credentialRefs":null}"#,
        ] {
            assert_eq!(digest_of(same), plain, "{same}");
        }
        for other in [
            r#"{"target":{"kind":"inline","inline":{"n":2}},"eval_set":{"a":"é"}}"#,
            r#"{"target":{"kind":"inline","inline":{"n":true}},"eval_set":{"a":"é"}}"#,
            r#"{"target":{"kind":"inline","inline":{"n":1,"m":null}},"eval_set":{"a":"é"}}"#,
            r#"{"target":{"kind":"inline","inline":{"n":1}},"eval_set":{"a":"é"},"extra":null}"#,
            r#"{"target":{"kind":"inline","inline":{"n":1}}}"#,
        ] {
            assert_ne!(digest_of(other), plain, "{other}");
        }
    }

    #[test]
    fn numbers_are_compared_by_value() {
        for (a, b) in [("1", "1.0"), ("1e3", "1000"), ("-0.0", "0"), ("1e20", "100000000000000000000")] {
            assert_eq!(digest_of(a), digest_of(b), "{a} {b}");
        }
        for (a, b) in
            [("1", "1.5"), ("9007199254740993", "9007199254740992.0"), ("1", "\"1\""), ("0", "false")]
        {
            assert_ne!(digest_of(a), digest_of(b), "{a} {b}");
        }
    }

    /// A JSON value of any shape.
    fn any_json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            (-1e9..1e9).prop_map(|number: f64| number.into()),
            ".{0,6}".prop_map(Into::into),
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
                prop::collection::btree_map("[a-z]{1,3}", inner, 0..4)
                    .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
            ]
        })
    }

    /// Writes the value with its members in reverse order and white space between.
    fn rewritten(value: &serde_json::Value) -> String {
        match value {
            serde_json::Value::Array(items) => {
                format!("[ {} ]", items.iter().map(rewritten).collect::<Vec<_>>().join(" ,\n"))
            }
            serde_json::Value::Object(map) => {
                let member =
                    |(key, value): (&String, &serde_json::Value)| format!("\"{key}\" : {}", rewritten(value));
                format!("{{ {} }}", map.iter().rev().map(member).collect::<Vec<_>>().join(" ,\t"))
            }
            other => other.to_string(),
        }
    }

    proptest! {
        #[test]
        fn formatting_keeps_the_digest_and_values_change_it(a in any_json(), b in any_json()) {
            let snake = format!(r#"{{"eval_set":{a},"target":{{"trace_id":{b}}}}}"#);
            let camel = format!(r#"{{"target":{{"traceId":{}}},"evalSet":{}}}"#, rewritten(&b), rewritten(&a));
            prop_assert_eq!(digest_of(&snake), digest_of(&camel));
            let is_same = parse(&a.to_string()).unwrap() == parse(&b.to_string()).unwrap();
            prop_assert_eq!(digest_of(&a.to_string()) == digest_of(&b.to_string()), is_same);
        }
    }
}
