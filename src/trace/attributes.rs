//! Reads attributes and `AnyValue`s of OTLP JSON, leniently about types and exactly about numbers.

use std::borrow::Cow;

use super::decode::Notes;
use crate::json::{Map, Reader, SyntaxError, Token, Value, parse_float, parse_int};

type Result<T> = std::result::Result<T, SyntaxError>;

/// Deepest nesting of attribute values that is followed.
const MAX_VALUE_DEPTH: usize = 64;

/// Reads attributes: a list of key and value, or a map, whose nested maps become dotted keys.
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

/// The members of an `AnyValue`, in the order in which the first present one is taken.
const VALUE_MEMBERS: [(&str, &str); 7] = [
    ("stringValue", "string_value"),
    ("boolValue", "bool_value"),
    ("intValue", "int_value"),
    ("doubleValue", "double_value"),
    ("bytesValue", "bytes_value"),
    ("arrayValue", "array_value"),
    ("kvlistValue", "kvlist_value"),
];

/// Reads an `AnyValue`; `None` when it has none of the seven members or its value cannot be read.
///
/// Bytes become null: nothing that is extracted from traces is bytes.
pub(super) fn any_value<'a>(
    reader: &mut Reader<'a>,
    notes: &mut Notes,
    depth: usize,
) -> Result<Option<Value<'a>>> {
    let mut best: Option<(usize, Option<Value<'a>>)> = None;
    reader.object(|reader, key| {
        let rank = VALUE_MEMBERS.iter().position(|(camel, snake)| key == *camel || key == *snake);
        let Some(rank) = rank.filter(|rank| best.as_ref().is_none_or(|(taken, _)| rank < taken)) else {
            return reader.skip();
        };
        let value = match (rank, reader.peek()?) {
            (_, Token::Null) => return reader.skip(),
            (0, Token::Str) => reader.string()?.map(Value::Str),
            (0, _) => {
                let value = reader.value()?;
                Some(Value::Str(value.scalar_text().unwrap_or_else(|| value.to_json_text().into())))
            }
            (1, _) => Some(Value::Bool(match reader.value()? {
                Value::Str(text) => !matches!(&*text.trim().to_lowercase(), "" | "false" | "0"),
                other => other.is_truthy(),
            })),
            (2, _) => match integer(reader)? {
                Integer::Value(number) => Some(Value::Int(number)),
                Integer::Absent | Integer::Malformed => {
                    notes.bad_values += 1;
                    None
                }
            },
            (3, _) => match reader.value()? {
                Value::Float(number) => Some(Value::Float(number)),
                Value::Int(number) => Some(Value::Float(number as f64)),
                Value::Str(text) => Some(parse_float(&text).map_or(Value::Null, Value::Float)),
                _ => Some(Value::Null),
            },
            (4, _) => {
                reader.skip()?;
                Some(Value::Null)
            }
            _ if depth >= MAX_VALUE_DEPTH => {
                notes.deep_values += 1;
                reader.skip()?;
                Some(Value::Null)
            }
            (5, _) => Some(Value::List(array_values(reader, notes, depth)?)),
            _ => Some(Value::Map(key_values(reader, notes, depth)?)),
        };
        best = Some((rank, value));
        Ok(())
    })?;
    Ok(best.and_then(|(_, value)| value))
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

/// An integer member, read leniently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Integer {
    /// Not there, null or an empty string.
    Absent,
    /// The number; booleans count as 0.
    Value(i64),
    /// There, but not a number.
    Malformed,
}

/// Reads an integer from a number or a string, exactly, however it is written.
pub(super) fn integer(reader: &mut Reader<'_>) -> Result<Integer> {
    Ok(match reader.peek()? {
        Token::Null => {
            reader.skip()?;
            Integer::Absent
        }
        Token::Bool => {
            reader.skip()?;
            Integer::Value(0)
        }
        Token::Number => exact_integer(reader.raw()?),
        Token::Str => {
            let text = reader.string()?.unwrap_or_default();
            if text.trim().is_empty() { Integer::Absent } else { exact_integer(&text) }
        }
        Token::List | Token::Map => {
            reader.skip()?;
            Integer::Malformed
        }
    })
}

/// The integer part of a decimal number, computed on its digits: `1.7000000000010004e18` loses nothing.
pub(super) fn exact_integer(text: &str) -> Integer {
    if let Some(number) = parse_int(text) {
        return Integer::Value(number);
    }
    let text = text.trim();
    let (negative, unsigned) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (mantissa, exponent) = unsigned.split_once(['e', 'E']).unwrap_or((unsigned, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = whole.bytes().chain(fraction.bytes());
    let exponent = exponent.parse::<i32>();
    if whole.len() + fraction.len() == 0 || !digits.clone().all(|byte| byte.is_ascii_digit()) {
        return Integer::Malformed;
    }
    let Ok(exponent) = exponent else {
        return Integer::Malformed;
    };
    let leading_zeros = digits.clone().take_while(|byte| *byte == b'0').count();
    let kept = whole.len() as i64 + i64::from(exponent) - leading_zeros as i64;
    let kept = kept.clamp(0, 20) as usize; // more digits than 64 bits hold
    let mut number: i128 = 0;
    for digit in
        digits.skip(leading_zeros).map(|byte| i128::from(byte - b'0')).chain(std::iter::repeat(0)).take(kept)
    {
        number = number * 10 + digit;
    }
    let signed = if negative { -number } else { number };
    Integer::Value(signed.clamp(i128::from(i64::MIN), i128::from(i64::MAX)) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_exact_however_they_are_written() {
        for (text, number) in [
            ("1700000000001000003", 1_700_000_000_001_000_003),
            ("1.700000000001000003e18", 1_700_000_000_001_000_003),
            ("9007199254740993.0", 9_007_199_254_740_993),
            ("-1.9", -1),
            ("5e-1", 0),
            ("1e400", i64::MAX),
            ("12E2", 1200),
        ] {
            assert_eq!(exact_integer(text), Integer::Value(number), "{text}");
        }
        for text in ["", ".", "abc", "1e", "0x10", "1 2"] {
            assert_eq!(exact_integer(text), Integer::Malformed, "{text}");
        }
    }

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
