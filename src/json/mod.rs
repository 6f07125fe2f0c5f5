//! JSON as agents write it: a value type, a pull reader, and reading with located errors.
//!
//! The dialect is Python's, because that is what most instrumented agents emit: `NaN` and `Infinity` are
//! numbers, integers have any size, and of duplicate keys the last wins. Lexing is done by `jiter`, which
//! refuses nesting deeper than 200 levels; what stands here is the value that the rest of the program uses.

pub mod checked;
mod python;
mod reader;
mod text;
mod value;
mod yaml;

pub use python::{parse_float, parse_int};
pub use reader::{Reader, Token};
pub use text::{member_text, members_of, repaired};
pub use value::{Map, Value};
pub use yaml::parse_yaml;

/// A place in a text where reading it as JSON had to stop.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason} at line {line} column {column}")]
pub struct SyntaxError {
    /// What is wrong, in words.
    pub reason: String,
    /// Line of the fault, from 1.
    pub line: usize,
    /// Column of the fault in bytes, from 1.
    pub column: usize,
    /// Byte offset of the fault.
    pub offset: usize,
}

impl SyntaxError {
    /// Locates `offset` in `text`; a line break belongs to the line it ends.
    pub fn new(reason: impl Into<String>, text: &str, offset: usize) -> Self {
        let before = &text.as_bytes()[..offset.min(text.len())];
        let line = 1 + memchr::memchr_iter(b'\n', before).count();
        let column = offset - memchr::memrchr(b'\n', before).map_or(0, |newline| newline + 1) + 1;
        Self { reason: reason.into(), line, column, offset }
    }
}

/// Parses one JSON value that fills `text`.
///
/// # Errors
/// The text is not exactly one JSON value of at most 200 levels.
pub fn parse(text: &str) -> Result<Value<'_>, SyntaxError> {
    let mut reader = Reader::new(text);
    let value = reader.value()?;
    reader.finish()?;
    Ok(value)
}

/// Replaces `\uD800`-style escapes that have no partner by `\uFFFD`, in place.
///
/// Python and JavaScript write half an emoji when they cut a text for a preview; Rust strings cannot hold it,
/// and one such escape must not cost the document. Both escapes have six bytes, so every offset stays.
pub fn repair_lone_surrogates(text: &mut [u8]) {
    let mut at = 0;
    while let Some(found) = memchr::memmem::find(&text[at..], b"\\u") {
        let start = at + found;
        let backslashes = text[..start].iter().rev().take_while(|byte| **byte == b'\\').count();
        at = start + 2;
        if backslashes % 2 == 1 {
            continue; // an escaped backslash before a plain `u`
        }
        match escape_at(text, start) {
            Some(0xD800..=0xDBFF) => match escape_at(text, start + 6) {
                Some(0xDC00..=0xDFFF) => at = start + 12,
                _ => text[start + 2..start + 6].copy_from_slice(b"fffd"),
            },
            Some(0xDC00..=0xDFFF) => text[start + 2..start + 6].copy_from_slice(b"fffd"),
            _ => {}
        }
    }
}

/// The code unit of the `\uXXXX` escape at `start`, if there is one.
fn escape_at(text: &[u8], start: usize) -> Option<u32> {
    let escape = text.get(start..start + 6)?;
    let digits = escape.strip_prefix(b"\\u")?;
    u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lone_surrogates_are_replaced_and_pairs_are_kept() {
        for (before, after) in [
            (r#""a\ud83d""#, r#""a\ufffd""#),
            (r#""\ud83d\ude00""#, r#""\ud83d\ude00""#),
            (r#""\ude00x""#, r#""\ufffdx""#),
            (r#""\\ud83d""#, r#""\\ud83d""#),
            (r#""\ud83d\ud83d\ude00""#, r#""\ufffd\ud83d\ude00""#),
        ] {
            let mut text = before.as_bytes().to_vec();
            repair_lone_surrogates(&mut text);
            assert_eq!(String::from_utf8(text).unwrap(), after);
        }
    }

    #[test]
    fn of_duplicate_keys_the_last_wins_at_the_first_place() {
        let value = parse(r#"{"a":1,"b":2,"a":3}"#).unwrap();
        assert_eq!(value.to_json_text(), r#"{"a": 3, "b": 2}"#);
    }

    #[test]
    fn errors_name_line_and_column() {
        let error = parse("{\n  \"a\": ,\n}").unwrap_err();
        assert_eq!((error.line, error.column), (2, 8));
    }

    #[test]
    fn deep_nesting_is_refused_not_followed() {
        let deep = "[".repeat(100_000);
        assert!(parse(&deep).unwrap_err().reason.contains("200 levels"));
    }
}
