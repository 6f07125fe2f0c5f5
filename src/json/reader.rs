//! A pull reader: walks a document without building a tree, so that only the wanted values are allocated.

use std::borrow::Cow;

use jiter::{Jiter, JiterError, JiterErrorType, JsonErrorType, JsonValue, Peek};

use super::syntax::SyntaxError;
use super::value::Value;

type Result<T> = std::result::Result<T, SyntaxError>;

/// Parses one JSON value that fills `text`.
///
/// # Errors
/// The text is not exactly one JSON value of at most 200 levels.
pub fn parse(text: &str) -> Result<Value<'_>> {
    let mut reader = Reader::new(text);
    let value = reader.value()?;
    reader.finish()?;
    Ok(value)
}

/// The kind of the next value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Token {
    /// `null`
    Null,
    /// `true` or `false`
    Bool,
    /// A number, `NaN` or `Infinity`.
    Number,
    /// A string.
    Str,
    /// An array.
    List,
    /// An object.
    Map,
}

/// Reads one JSON text from front to back.
pub struct Reader<'a> {
    text: &'a str,
    jiter: Jiter<'a>,
}

impl<'a> Reader<'a> {
    /// Starts at the beginning of `text`.
    pub fn new(text: &'a str) -> Self {
        Self { text, jiter: Jiter::new(text.as_bytes()).with_allow_inf_nan() }
    }

    /// The byte offset of the next value.
    pub fn offset(&self) -> usize {
        self.jiter.current_index()
    }

    /// The text read since the byte offset `start`, without white space around.
    pub fn since(&self, start: usize) -> &'a str {
        self.text[start..self.jiter.current_index()].trim()
    }

    /// Looks at the next value without reading it.
    pub fn peek(&mut self) -> Result<Token> {
        let peek = self.next()?;
        Ok(match peek {
            Peek::Null => Token::Null,
            Peek::True | Peek::False => Token::Bool,
            Peek::String => Token::Str,
            Peek::Array => Token::List,
            Peek::Object => Token::Map,
            _ => Token::Number,
        })
    }

    /// Reads the next value whole.
    pub fn value(&mut self) -> Result<Value<'a>> {
        let peek = self.next()?;
        let value = self.jiter.known_value(peek);
        value.map(Value::from).map_err(|error| self.located(&error))
    }

    /// Passes over the next value and returns its text. Not recursive, so nesting of any depth is read.
    pub fn raw(&mut self) -> Result<&'a str> {
        let mut peek = self.next()?;
        let start = self.jiter.current_index();
        let mut open: Vec<Token> = Vec::new();
        'values: loop {
            match peek {
                Peek::Array => {
                    let first = self.jiter.known_array();
                    if let Some(first) = first.map_err(|error| self.located(&error))? {
                        open.push(Token::List);
                        peek = first;
                        continue;
                    }
                }
                Peek::Object => {
                    let first = self.jiter.next_object_bytes().map(|key| key.is_some());
                    if first.map_err(|error| self.located(&error))? {
                        open.push(Token::Map);
                        peek = self.next()?;
                        continue;
                    }
                }
                scalar => self.jiter.known_skip(scalar).map_err(|error| self.located(&error))?,
            }
            while let Some(container) = open.last() {
                let next = match container {
                    Token::Map => {
                        let more = self.jiter.next_key_bytes().map(|key| key.is_some());
                        let more = more.map_err(|error| self.located(&error))?;
                        if more { Some(self.next()?) } else { None }
                    }
                    _ => self.jiter.array_step().map_err(|error| self.located(&error))?,
                };
                if let Some(next) = next {
                    peek = next;
                    continue 'values;
                }
                open.pop();
            }
            return Ok(&self.text[start..self.jiter.current_index()]);
        }
    }

    /// Passes over the next value.
    pub fn skip(&mut self) -> Result<()> {
        self.raw().map(drop)
    }

    /// Reads a string; passes over anything else.
    pub fn string(&mut self) -> Result<Option<Cow<'a, str>>> {
        let peek = self.next()?;
        if peek != Peek::String {
            self.skip()?;
            return Ok(None);
        }
        match self.jiter.known_value(peek) {
            Ok(JsonValue::Str(text)) => Ok(Some(text)),
            Ok(_) => Ok(None),
            Err(error) => Err(self.located(&error)),
        }
    }

    /// Reads an object, handing each key to `member`, which must read the value after it.
    ///
    /// Passes over a value of another kind; returns whether it was an object.
    pub fn object(&mut self, mut member: impl FnMut(&mut Self, &str) -> Result<()>) -> Result<bool> {
        if self.next()? != Peek::Object {
            self.skip()?;
            return Ok(false);
        }
        let first = self.jiter.next_object_bytes().map(|key| key.map(offset_of(self.text)));
        let mut key = first.map_err(|error| self.located(&error))?;
        while let Some((start, length)) = key {
            let written = &self.text[start..start + length];
            if written.contains('\\') {
                let quoted = &self.text[start - 1..=start + length];
                let decoded = Reader::new(quoted).string()?.unwrap_or_default();
                member(self, &decoded)?;
            } else {
                member(self, written)?;
            }
            let next = self.jiter.next_key_bytes().map(|key| key.map(offset_of(self.text)));
            key = next.map_err(|error| self.located(&error))?;
        }
        Ok(true)
    }

    /// Reads an array, calling `item` before each element, which it must read.
    ///
    /// Passes over a value of another kind; returns whether it was an array.
    pub fn array(&mut self, mut item: impl FnMut(&mut Self) -> Result<()>) -> Result<bool> {
        if self.next()? != Peek::Array {
            self.skip()?;
            return Ok(false);
        }
        let mut more = self.jiter.next_array().map_err(|error| self.located(&error))?;
        while more.is_some() {
            item(self)?;
            more = self.jiter.array_step().map_err(|error| self.located(&error))?;
        }
        Ok(true)
    }

    /// Checks that nothing but white space is left.
    pub fn finish(&mut self) -> Result<()> {
        self.jiter.finish().map_err(|error| self.located(&error))
    }

    fn next(&mut self) -> Result<Peek> {
        self.jiter.peek().map_err(|error| self.located(&error))
    }

    fn located(&self, error: &JiterError) -> SyntaxError {
        let reason = match &error.error_type {
            JiterErrorType::JsonError(JsonErrorType::RecursionLimitExceeded) => {
                "nested deeper than 200 levels".to_owned()
            }
            other => format!("invalid JSON: {}", other.to_string().to_lowercase()),
        };
        SyntaxError::new(reason, self.text, error.index.min(self.text.len()))
    }
}

/// Turns a key that jiter returned into its place in `text`. The key's lifetime is that of the borrow of the lexer,
/// which the caller needs again to read the value.
fn offset_of(text: &str) -> impl Fn(&[u8]) -> (usize, usize) {
    let base = text.as_ptr().addr();
    move |part| (part.as_ptr().addr() - base, part.len())
}

#[cfg(test)]
mod tests {
    use super::*;

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
