//! Reads attributes and `AnyValue`s of OTLP JSON, leniently about types and exactly about numbers.

use std::borrow::Cow;

use super::decoded::Notes;
use super::integer::{Integer, integer};
use crate::json::{Map, Reader, SyntaxError, Token, Value, parse_float};

type Result<T> = std::result::Result<T, SyntaxError>;

/// Values nested deeper are cut, with a warning.
const MAX_VALUE_DEPTH: usize = 64;

/// Reads attributes: OTLP's list of key and value, or a plain map, whose nested maps become dotted keys.
pub(super) fn attributes<'a>(reader: &mut Reader<'a>, notes: &mut Notes) -> Result<Map<'a>> {
    let mut entries = Vec::new();
    if reader.peek()? == Token::Map {
        if let Value::Map(map) = reader.value()? {
            flatten(&map, "", &mut entries, 0, notes);
        }
        return Ok(Map::from_entries(entries));
    }
    reader.array(|reader| {
        let (mut name, mut value) = (None, None);
        reader.object(|reader, key| {
            match key {
                "key" => name = reader.string()?,
                "value" => value = any_value(reader, notes, 0)?,
                _ => reader.skip()?,
            }
            Ok(())
        })?;
        entries.extend(name.zip(value));
        Ok(())
    })?;
    Ok(Map::from_entries(entries))
}

fn flatten<'a>(
    map: &Map<'a>,
    prefix: &str,
    entries: &mut Vec<(Cow<'a, str>, Value<'a>)>,
    depth: usize,
    notes: &mut Notes,
) {
    for (key, value) in map.iter() {
        let dotted = if prefix.is_empty() { key.clone() } else { Cow::Owned(format!("{prefix}.{key}")) };
        match value {
            Value::Map(inner) if depth < MAX_VALUE_DEPTH => {
                flatten(inner, &dotted, entries, depth + 1, notes);
            }
            Value::Map(_) => notes.deep_values += 1,
            _ => entries.push((dotted, value.clone())),
        }
    }
}

/// The members of an `AnyValue`; where several are present, the first of this order wins.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Member {
    String,
    Bool,
    Int,
    Double,
    Bytes,
    Array,
    KeyValues,
}

impl Member {
    fn named(key: &str) -> Option<Self> {
        Some(match key {
            "stringValue" | "string_value" => Self::String,
            "boolValue" | "bool_value" => Self::Bool,
            "intValue" | "int_value" => Self::Int,
            "doubleValue" | "double_value" => Self::Double,
            "bytesValue" | "bytes_value" => Self::Bytes,
            "arrayValue" | "array_value" => Self::Array,
            "kvlistValue" | "kvlist_value" => Self::KeyValues,
            _ => return None,
        })
    }
}

/// Reads an `AnyValue`; `None` when it has none of the seven members or its value cannot be read.
pub(super) fn any_value<'a>(
    reader: &mut Reader<'a>,
    notes: &mut Notes,
    depth: usize,
) -> Result<Option<Value<'a>>> {
    let mut best: Option<(Member, Option<Value<'a>>)> = None;
    reader.object(|reader, key| {
        let Some(member) = Member::named(key) else {
            return reader.skip();
        };
        let token = reader.peek()?;
        let is_better = best.as_ref().is_none_or(|(taken, _)| member < *taken);
        if !is_better || token == Token::Null {
            return reader.skip();
        }
        best = Some((member, member_value(reader, member, token, notes, depth)?));
        Ok(())
    })?;
    Ok(best.and_then(|(_, value)| value))
}

fn member_value<'a>(
    reader: &mut Reader<'a>,
    member: Member,
    token: Token,
    notes: &mut Notes,
    depth: usize,
) -> Result<Option<Value<'a>>> {
    Ok(Some(match member {
        Member::String if token == Token::Str => return Ok(reader.string()?.map(Value::Str)),
        Member::String => {
            let value = reader.value()?;
            Value::Str(value.scalar_text().unwrap_or_else(|| value.to_json_text().into()))
        }
        Member::Bool => Value::Bool(match reader.value()? {
            Value::Str(text) => !matches!(&*text.trim().to_lowercase(), "" | "false" | "0"),
            other => other.is_truthy(),
        }),
        Member::Int => match integer(reader)? {
            Integer::Value(number) => Value::Int(number),
            Integer::Absent | Integer::Malformed => {
                notes.bad_values += 1;
                return Ok(None);
            }
        },
        Member::Double => match reader.value()? {
            Value::Float(number) => Value::Float(number),
            Value::Int(number) => Value::Float(number as f64),
            Value::Str(text) => parse_float(&text).map_or(Value::Null, Value::Float),
            _ => Value::Null,
        },
        // Nothing that extraction reads is bytes.
        Member::Bytes => {
            reader.skip()?;
            Value::Null
        }
        Member::Array | Member::KeyValues if depth >= MAX_VALUE_DEPTH => {
            notes.deep_values += 1;
            reader.skip()?;
            Value::Null
        }
        Member::Array => Value::List(array_values(reader, notes, depth)?),
        Member::KeyValues => Value::Map(key_values(reader, notes, depth)?),
    }))
}

fn array_values<'a>(reader: &mut Reader<'a>, notes: &mut Notes, depth: usize) -> Result<Vec<Value<'a>>> {
    let mut items = Vec::new();
    reader.object(|reader, key| {
        if key != "values" {
            return reader.skip();
        }
        reader.array(|reader| {
            match reader.peek()? {
                Token::Map => items.push(any_value(reader, notes, depth + 1)?.unwrap_or_default()),
                _ => reader.skip()?,
            }
            Ok(())
        })?;
        Ok(())
    })?;
    Ok(items)
}

fn key_values<'a>(reader: &mut Reader<'a>, notes: &mut Notes, depth: usize) -> Result<Map<'a>> {
    let mut entries = Vec::new();
    reader.object(|reader, key| {
        if key != "values" {
            return reader.skip();
        }
        reader.array(|reader| {
            let (mut name, mut value) = (None, Value::Null);
            reader.object(|reader, key| {
                match key {
                    "key" => name = reader.string()?,
                    "value" => value = any_value(reader, notes, depth + 1)?.unwrap_or_default(),
                    _ => reader.skip()?,
                }
                Ok(())
            })?;
            entries.extend(name.map(|name| (name, value)));
            Ok(())
        })?;
        Ok(())
    })?;
    Ok(Map::from_entries(entries))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_present_member_of_a_value_wins() {
        let read = |json: &str| {
            let mut notes = Notes::default();
            let value = any_value(&mut Reader::new(json), &mut notes, 0).unwrap();
            (value.map(|value| value.to_json_text()), notes.bad_values)
        };
        assert_eq!(read(r#"{"intValue":"7","stringValue":"s"}"#), (Some("\"s\"".into()), 0));
        assert_eq!(read(r#"{"boolValue":"false"}"#), (Some("false".into()), 0));
        assert_eq!(read(r#"{"intValue":"seven"}"#), (None, 1));
        assert_eq!(read(r#"{"doubleValue":"NaN"}"#), (Some("NaN".into()), 0));
        assert_eq!(read(r#"{"arrayValue":{"values":[{"intValue":1},3,{}]}}"#), (Some("[1, null]".into()), 0));
        assert_eq!(read(r#"{"bytesValue":"AAA="}"#), (Some("null".into()), 0));
        assert_eq!(read("{}"), (None, 0));
    }
}
