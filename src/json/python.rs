//! Conversions, printing and equality of values as in Python, where the reference's output depends on them.

use std::borrow::Cow;
use std::fmt::Write;

use num_bigint::BigInt;

use super::value::Value;

impl<'a> Value<'a> {
    /// A scalar as Python's `str()` writes it (`True`, `1`, `1.5`); `None` for null, lists and maps.
    pub fn scalar_text(&self) -> Option<Cow<'a, str>> {
        match self {
            Self::Str(text) => Some(text.clone()),
            Self::Bool(true) => Some("True".into()),
            Self::Bool(false) => Some("False".into()),
            Self::Int(number) => Some(number.to_string().into()),
            Self::BigInt(number) => Some(number.to_string().into()),
            Self::Float(number) => Some(float_repr(*number).into()),
            Self::Null | Self::List(_) | Self::Map(_) => None,
        }
    }

    /// The value as an integer: integers, floats without fraction, and strings that hold an integer.
    pub fn as_int(&self) -> Option<i64> {
        match self {
            Self::Int(number) => Some(*number),
            Self::Float(number) if number.fract() == 0.0 && number.abs() < 9.2e18 => Some(*number as i64),
            Self::Str(text) => parse_int(text),
            _ => None,
        }
    }

    /// Python's `bool()` of the value.
    pub fn is_truthy(&self) -> bool {
        match self {
            Self::Bool(flag) => *flag,
            Self::Int(number) => *number != 0,
            Self::Float(number) => *number != 0.0,
            Self::BigInt(_) => true,
            _ => !self.is_empty(),
        }
    }

    /// JSON text as `json.dumps(value, sort_keys=True, ensure_ascii=False)` writes it: `{"a": 1, "b": [2]}`.
    pub fn to_json_text(&self) -> String {
        let mut out = String::new();
        self.write_json(&mut out);
        out
    }

    fn write_json(&self, out: &mut String) {
        match self {
            Self::Null => out.push_str("null"),
            Self::Bool(flag) => out.push_str(if *flag { "true" } else { "false" }),
            Self::Float(number) if number.is_nan() => out.push_str("NaN"),
            Self::Float(number) if number.is_infinite() => {
                out.push_str(if *number > 0.0 { "Infinity" } else { "-Infinity" });
            }
            Self::Str(text) => write_quoted(text, out),
            Self::List(items) => {
                out.push('[');
                for (at, item) in items.iter().enumerate() {
                    out.push_str(if at == 0 { "" } else { ", " });
                    item.write_json(out);
                }
                out.push(']');
            }
            Self::Map(map) => {
                let mut entries: Vec<_> = map.iter().collect();
                entries.sort_by(|a, b| a.0.cmp(b.0));
                out.push('{');
                for (at, (key, value)) in entries.into_iter().enumerate() {
                    out.push_str(if at == 0 { "" } else { ", " });
                    write_quoted(key, out);
                    out.push_str(": ");
                    value.write_json(out);
                }
                out.push('}');
            }
            Self::Int(_) | Self::BigInt(_) | Self::Float(_) => {
                out.push_str(&self.scalar_text().unwrap_or_default())
            }
        }
    }

    /// Deep equality by value: the order of maps does not matter, `1` equals `1.0`, NaN equals nothing.
    ///
    /// With `bools_are_numbers`, `true` equals 1 and `false` equals 0, as in Python.
    pub fn equals(&self, other: &Value<'_>, bools_are_numbers: bool) -> bool {
        match (self, other) {
            (Self::Null, Value::Null) => true,
            (Self::Bool(a), Value::Bool(b)) => a == b,
            (Self::Bool(flag), number) | (number, Value::Bool(flag)) if bools_are_numbers => {
                number.equals(&Value::Int(i64::from(*flag)), false)
            }
            (Self::Str(a), Value::Str(b)) => a == b,
            (Self::List(a), Value::List(b)) => {
                a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.equals(b, bools_are_numbers))
            }
            (Self::Map(a), Value::Map(b)) => {
                let lookup = b.lookup();
                a.len() == b.len()
                    && a.iter()
                        .all(|(key, a)| lookup.get(key).is_some_and(|b| a.equals(b, bools_are_numbers)))
            }
            (Self::Int(a), Value::Int(b)) => a == b,
            (Self::BigInt(a), Value::BigInt(b)) => a == b,
            (Self::Float(a), Value::Float(b)) => a == b,
            (Self::Float(float), integer) | (integer, Value::Float(float)) => float_equals(*float, integer),
            _ => false,
        }
    }
}

impl PartialEq for Value<'_> {
    /// Equality by value, where booleans are not numbers; see [`Value::equals`].
    fn eq(&self, other: &Self) -> bool {
        self.equals(other, false)
    }
}

/// Whether `float` is exactly `integer`; like Python, without rounding the integer to a float.
fn float_equals(float: f64, integer: &Value<'_>) -> bool {
    if !float.is_finite() || float.fract() != 0.0 {
        return false;
    }
    match integer {
        Value::Int(number) => float as i128 == i128::from(*number),
        Value::BigInt(number) => format!("{float:.0}").parse::<BigInt>().is_ok_and(|exact| exact == **number),
        _ => false,
    }
}

fn write_quoted(text: &str, out: &mut String) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            control if control < ' ' => {
                let _ = write!(out, "\\u{:04x}", control as u32); // writing to a String cannot fail
            }
            other => out.push(other),
        }
    }
    out.push('"');
}

/// A float as Python's `repr` writes it: shortest digits, exponent below 1e-4 and from 1e16.
fn float_repr(number: f64) -> String {
    if number.is_nan() {
        return "nan".into();
    }
    if number.is_infinite() {
        return if number > 0.0 { "inf".into() } else { "-inf".into() };
    }
    let scientific = format!("{number:e}");
    let Some((mantissa, exponent)) = scientific.split_once('e') else {
        return scientific;
    };
    match exponent.parse::<i32>() {
        Ok(power) if number != 0.0 && !(-4..16).contains(&power) => {
            let sign = if power < 0 { '-' } else { '+' };
            format!("{mantissa}e{sign}{:02}", power.abs())
        }
        _ => format!("{number:?}"),
    }
}

/// A base-10 integer as Python's `int()` reads it: spaces around, a sign, single underscores between digits.
pub fn parse_int(text: &str) -> Option<i64> {
    let trimmed = text.trim();
    if trimmed.contains('_') {
        let digits = trimmed.strip_prefix(['+', '-']).unwrap_or(trimmed);
        if digits.starts_with('_') || digits.ends_with('_') || digits.contains("__") {
            return None;
        }
        return trimmed.replace('_', "").parse().ok();
    }
    trimmed.parse().ok()
}

/// A number as Python's `float()` reads it, `nan` and `inf` included.
pub fn parse_float(text: &str) -> Option<f64> {
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::parse;

    #[test]
    fn floats_print_as_python_prints_them() {
        for (number, text) in [
            (1.0, "1.0"),
            (1.5, "1.5"),
            (1e16, "1e+16"),
            (123456789012345680.0, "1.2345678901234568e+17"),
            (1e15, "1000000000000000.0"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (-0.0, "-0.0"),
        ] {
            assert_eq!(float_repr(number), text);
        }
    }

    #[test]
    fn equality_is_by_value_across_number_types() {
        let equal = |a: &str, b: &str, python| parse(a).unwrap().equals(&parse(b).unwrap(), python);
        assert!(equal("1", "1.0", false));
        assert!(equal("1180591620717411303424", "1180591620717411303424.0", false));
        assert!(!equal("9007199254740993", "9007199254740992.0", false));
        assert!(!equal("NaN", "NaN", false));
        assert!(equal(r#"{"a":1,"b":[true]}"#, r#"{"b":[true],"a":1}"#, false));
        assert!(!equal("true", "1", false));
        assert!(equal("true", "1", true));
        assert!(equal("0.0", "false", true));
        assert!(!equal("null", "false", true));
        assert!(!equal("true", "\"True\"", true));
    }

    #[test]
    fn integers_parse_as_in_python() {
        assert_eq!(parse_int(" +1_000 "), Some(1000));
        assert_eq!(parse_int("1__0"), None);
        assert_eq!(parse_int("1.0"), None);
    }
}
