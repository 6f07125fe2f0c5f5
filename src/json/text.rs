//! Members of an object as text: for documents whose largest member is not to be built in memory.

use std::borrow::Cow;

use super::{Map, Reader, SyntaxError, Token, Value, repair_lone_surrogates};

/// Reads the next value; when it is an object, each of its members by `member`.
///
/// # Errors
/// The text is not JSON, or `member` fails.
pub fn members_of<'a>(
    reader: &mut Reader<'a>,
    mut member: impl FnMut(&mut Reader<'a>, &str) -> Result<Value<'a>, SyntaxError>,
) -> Result<Value<'a>, SyntaxError> {
    if reader.peek()? != Token::Map {
        return reader.value();
    }
    let mut entries = Vec::new();
    reader.object(|reader, key| {
        let value = member(reader, key)?;
        entries.push((key.to_owned().into(), value));
        Ok(())
    })?;
    Ok(Value::Map(Map::from_entries(entries)))
}

/// The text of member `name` of the object `text`; the last one where the name is repeated.
///
/// # Errors
/// The text is no JSON object.
pub fn member_text<'a>(text: &'a str, name: &str) -> Result<Option<&'a str>, SyntaxError> {
    let mut found = None;
    let mut reader = Reader::new(text);
    reader.object(|reader, key| {
        let value = reader.raw()?;
        if key == name {
            found = Some(value);
        }
        Ok(())
    })?;
    Ok(found)
}

/// Replaces half surrogates, which would cost the whole document. The text keeps its length, so that a place in it is
/// a place in the original.
pub fn repaired(text: &str) -> Cow<'_, str> {
    if memchr::memmem::find(text.as_bytes(), b"\\u").is_none() {
        return text.into();
    }
    let mut bytes = text.as_bytes().to_vec();
    repair_lone_surrogates(&mut bytes);
    String::from_utf8(bytes).map_or(text.into(), Into::into)
}
