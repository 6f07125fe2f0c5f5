//! The JSON value: strings borrowed from the text, integers of any size, maps in the order written.

use std::borrow::Cow;
use std::collections::HashMap;

use jiter::JsonValue;
use num_bigint::BigInt;
use serde::{Serialize, Serializer};

/// A JSON value; strings and keys borrow from the text they were read from.
#[derive(Debug, Clone, Default)]
pub enum Value<'a> {
    /// `null`
    #[default]
    Null,
    /// `true` or `false`
    Bool(bool),
    /// An integer that fits 64 bits.
    Int(i64),
    /// A larger integer.
    BigInt(Box<BigInt>),
    /// A number written with a fraction or exponent; may be NaN or infinite.
    Float(f64),
    /// A string.
    Str(Cow<'a, str>),
    /// An array.
    List(Vec<Value<'a>>),
    /// An object.
    Map(Map<'a>),
}

/// A JSON object in the order written; keys are unique.
#[derive(Debug, Clone, Default)]
pub struct Map<'a>(Vec<(Cow<'a, str>, Value<'a>)>);

/// Up to this many entries a scan for a key is cheaper than a hash table.
const SCAN_LIMIT: usize = 16;

impl<'a> Map<'a> {
    /// Builds a map; of entries with the same key the last value wins, at the place of the first.
    pub fn from_entries(mut entries: Vec<(Cow<'a, str>, Value<'a>)>) -> Self {
        if entries.len() <= SCAN_LIMIT {
            let mut at = 1;
            while at < entries.len() {
                match entries[..at].iter().position(|(key, _)| *key == entries[at].0) {
                    Some(first) => entries[first].1 = entries.remove(at).1,
                    None => at += 1,
                }
            }
            return Self(entries);
        }
        let mut last: HashMap<&str, usize> = HashMap::with_capacity(entries.len());
        // For each place where a key comes first, the place of its last value; `MAX` for the other places.
        let mut source = vec![usize::MAX; entries.len()];
        for (at, (key, _)) in entries.iter().enumerate() {
            let first = *last.entry(key).or_insert(at);
            source[first] = at;
        }
        if source.iter().enumerate().all(|(at, from)| at == *from) {
            return Self(entries);
        }
        for first in 0..entries.len() {
            let from = source[first];
            if from != usize::MAX && from != first {
                entries[first].1 = std::mem::take(&mut entries[from].1);
            }
        }
        let mut keep = source.iter().map(|from| *from != usize::MAX);
        entries.retain(|_| keep.next().unwrap_or(true));
        Self(entries)
    }

    /// The value of `key`.
    pub fn get(&self, key: &str) -> Option<&Value<'a>> {
        self.0.iter().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    /// Prepares for many look-ups, with a hash table if the map is large.
    pub fn lookup(&self) -> Lookup<'_, 'a> {
        let by_key =
            (self.0.len() > SCAN_LIMIT).then(|| self.0.iter().map(|(key, value)| (&**key, value)).collect());
        Lookup { map: self, by_key }
    }

    /// The entries in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&Cow<'a, str>, &Value<'a>)> {
        self.0.iter().map(|(key, value)| (key, value))
    }

    /// The number of entries.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A map prepared for many look-ups; see [`Map::lookup`].
pub struct Lookup<'m, 'a> {
    map: &'m Map<'a>,
    by_key: Option<HashMap<&'m str, &'m Value<'a>>>,
}

impl<'m, 'a> Lookup<'m, 'a> {
    /// The value of `key`.
    pub fn get(&self, key: &str) -> Option<&'m Value<'a>> {
        match &self.by_key {
            Some(by_key) => by_key.get(key).copied(),
            None => self.map.get(key),
        }
    }
}

impl<'a> Value<'a> {
    /// A string value.
    pub fn text(text: impl Into<Cow<'a, str>>) -> Self {
        Self::Str(text.into())
    }

    /// An object of these members; their names must differ.
    pub fn object<'k: 'a>(members: impl IntoIterator<Item = (&'k str, Value<'a>)>) -> Self {
        Self::Map(Map(members.into_iter().map(|(name, value)| (Cow::Borrowed(name), value)).collect()))
    }

    /// The string, if it is one.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Str(text) => Some(text),
            _ => None,
        }
    }

    /// The list, if it is one.
    pub fn as_list(&self) -> Option<&[Value<'a>]> {
        match self {
            Self::List(items) => Some(items),
            _ => None,
        }
    }

    /// The map, if it is one.
    pub fn as_map(&self) -> Option<&Map<'a>> {
        match self {
            Self::Map(map) => Some(map),
            _ => None,
        }
    }

    /// The member `key`, if this is a map that has it.
    pub fn get(&self, key: &str) -> Option<&Value<'a>> {
        self.as_map().and_then(|map| map.get(key))
    }

    /// The member `key`, if this is a map that has it as a non-empty string.
    pub fn get_str(&self, key: &str) -> Option<&str> {
        self.get(key).and_then(Value::as_str).filter(|text| !text.is_empty())
    }

    /// Whether this is `null`.
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// Whether this is `null`, `{}`, `""` or `[]`.
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Null => true,
            Self::Str(text) => text.is_empty(),
            Self::List(items) => items.is_empty(),
            Self::Map(map) => map.is_empty(),
            _ => false,
        }
    }

    /// The same value with every string borrowed from this one.
    pub fn borrowed(&self) -> Value<'_> {
        match self {
            Self::Null => Value::Null,
            Self::Bool(flag) => Value::Bool(*flag),
            Self::Int(number) => Value::Int(*number),
            Self::BigInt(number) => Value::BigInt(number.clone()),
            Self::Float(number) => Value::Float(*number),
            Self::Str(text) => Value::Str(Cow::Borrowed(text)),
            Self::List(items) => Value::List(items.iter().map(Value::borrowed).collect()),
            Self::Map(map) => Value::Map(Map(map
                .iter()
                .map(|(key, value)| (Cow::Borrowed(&**key), value.borrowed()))
                .collect())),
        }
    }

    /// The same value with every string owned.
    pub fn into_owned(self) -> Value<'static> {
        match self {
            Self::Null => Value::Null,
            Self::Bool(flag) => Value::Bool(flag),
            Self::Int(number) => Value::Int(number),
            Self::BigInt(number) => Value::BigInt(number),
            Self::Float(number) => Value::Float(number),
            Self::Str(text) => Value::Str(Cow::Owned(text.into_owned())),
            Self::List(items) => Value::List(items.into_iter().map(Value::into_owned).collect()),
            Self::Map(Map(entries)) => Value::Map(Map(entries
                .into_iter()
                .map(|(key, value)| (Cow::Owned(key.into_owned()), value.into_owned()))
                .collect())),
        }
    }

    /// The type with its article, for messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Int(_) | Self::BigInt(_) => "an integer",
            Self::Float(_) => "a number",
            Self::Str(_) => "a string",
            Self::List(_) => "a list",
            Self::Map(_) => "an object",
        }
    }
}

impl<'a> From<JsonValue<'a>> for Value<'a> {
    fn from(value: JsonValue<'a>) -> Self {
        match value {
            JsonValue::Null => Self::Null,
            JsonValue::Bool(flag) => Self::Bool(flag),
            JsonValue::Int(number) => Self::Int(number),
            JsonValue::BigInt(number) => Self::BigInt(Box::new(number)),
            JsonValue::Float(number) => Self::Float(number),
            JsonValue::Str(text) => Self::Str(text),
            JsonValue::Array(items) => {
                let items = std::sync::Arc::unwrap_or_clone(items);
                Self::List(items.into_iter().map(Value::from).collect())
            }
            JsonValue::Object(entries) => {
                let entries = std::sync::Arc::unwrap_or_clone(entries);
                Self::Map(Map::from_entries(
                    entries.into_iter().map(|(key, value)| (key, Value::from(value))).collect(),
                ))
            }
        }
    }
}

impl Serialize for Value<'_> {
    /// Writes the value as it was read; NaN and infinities, which JSON lacks, become `null`.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(flag) => serializer.serialize_bool(*flag),
            Self::Int(number) => serializer.serialize_i64(*number),
            Self::BigInt(number) => serde_json::value::RawValue::from_string(number.to_string())
                .map_err(serde::ser::Error::custom)?
                .serialize(serializer),
            Self::Float(number) => serializer.serialize_f64(*number),
            Self::Str(text) => serializer.serialize_str(text),
            Self::List(items) => serializer.collect_seq(items),
            Self::Map(map) => serializer.collect_map(map.iter()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_maps_keep_the_first_place_and_the_last_value() {
        let entries = (0..100).map(|n| (Cow::Owned(format!("k{}", n % 40)), Value::Int(n))).collect();
        let map = Map::from_entries(entries);
        assert_eq!(map.len(), 40);
        let first: Vec<_> = map.iter().take(3).map(|(key, value)| (key.to_string(), value.clone())).collect();
        assert!(matches!(&first[0], (key, Value::Int(80)) if key == "k0"));
        assert!(matches!(map.get("k39"), Some(Value::Int(79))));
    }

    #[test]
    fn integers_of_any_size_survive() {
        let text = "[1180591620717411303424,-9223372036854775808]";
        assert_eq!(serde_json::to_string(&crate::json::parse(text).unwrap()).unwrap(), text);
    }
}
