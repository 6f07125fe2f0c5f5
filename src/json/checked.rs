//! Reads a document against a schema and locates every fault (`$.eval_cases[2].conversation: …`).
//!
//! A [`Cursor`] stands on one value and knows its path. Faults are collected instead of returned as the first error, so
//! that users see all of them at once; the methods answer `None` for the part that is wrong.

use std::cell::RefCell;
use std::fmt;

use num_bigint::Sign;

use super::value::{Map, Value};

/// One fault in a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Where, for people: `$.eval_cases[0].eval_id`.
    pub path: String,
    /// Where, for programs: the JSON pointer `/eval_cases/0/eval_id` (RFC 6901).
    pub pointer: String,
    /// The fault and the remedy or expectation.
    pub message: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.message)
    }
}

/// The faults found so far, and the unknown members that are null and were passed over.
#[derive(Debug, Default)]
pub struct Faults {
    faults: RefCell<Vec<Fault>>,
    null_members: RefCell<Vec<Fault>>,
}

impl Faults {
    /// The faults, in the order found.
    pub fn into_vec(self) -> Vec<Fault> {
        self.faults.into_inner()
    }
}

/// How the members of an object may be spelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spelling {
    /// `eval_set_id` only.
    Snake,
    /// `eval_set_id` or `evalSetId`.
    SnakeOrCamel,
}

enum Path<'p> {
    Root,
    Member(&'p Path<'p>, &'p str),
    Index(&'p Path<'p>, usize),
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => f.write_str("$"),
            Self::Member(parent, name) => write!(f, "{parent}.{name}"),
            Self::Index(parent, index) => write!(f, "{parent}[{index}]"),
        }
    }
}

impl Path<'_> {
    fn write_pointer(&self, out: &mut String) {
        match self {
            Self::Root => {}
            Self::Member(parent, name) => {
                parent.write_pointer(out);
                out.push('/');
                out.push_str(&name.replace('~', "~0").replace('/', "~1"));
            }
            Self::Index(parent, index) => {
                parent.write_pointer(out);
                out.push('/');
                out.push_str(&index.to_string());
            }
        }
    }
}

/// A value, its path, and the list that its faults go to.
pub struct Cursor<'v, 'p> {
    value: &'v Value<'v>,
    path: Path<'p>,
    faults: &'p Faults,
}

impl<'v, 'p> Cursor<'v, 'p> {
    /// Stands on the whole document.
    pub fn root(value: &'v Value<'v>, faults: &'p Faults) -> Self {
        Self { value, path: Path::Root, faults }
    }

    /// The value itself.
    pub fn value(&self) -> &'v Value<'v> {
        self.value
    }

    /// Reports a fault of this value.
    pub fn fault(&self, message: impl Into<String>) {
        let fault = self.to_fault(message);
        self.faults.faults.borrow_mut().push(fault);
    }

    /// Takes the unknown members that were passed over so far because they are null, in the whole document.
    pub fn take_null_members(&self) -> Vec<Fault> {
        self.faults.null_members.take()
    }

    /// Makes a located message about this value without reporting it.
    pub fn to_fault(&self, message: impl Into<String>) -> Fault {
        let mut pointer = String::new();
        self.path.write_pointer(&mut pointer);
        Fault { path: self.path.to_string(), pointer, message: message.into() }
    }

    fn expected<T>(&self, what: &str) -> Option<T> {
        self.fault(format!("expected {what}, got {}", self.value.kind()));
        None
    }

    /// The value as a string.
    pub fn string(&self) -> Option<String> {
        match self.value {
            Value::Str(text) => Some(text.to_string()),
            _ => self.expected("a string"),
        }
    }

    /// The value as a number.
    pub fn number(&self) -> Option<f64> {
        match self.value {
            Value::Int(number) => Some(*number as f64),
            Value::Float(number) => Some(*number),
            _ => self.expected("a number"),
        }
    }

    /// The value as an integer within `range`.
    pub fn integer(&self, range: std::ops::RangeInclusive<i64>) -> Option<i64> {
        match self.value {
            Value::Int(number) if range.contains(number) => Some(*number),
            Value::Int(number) => {
                self.fault(format!("{number} is outside {}..={}", range.start(), range.end()));
                None
            }
            Value::BigInt(number) => {
                let size = if number.sign() == Sign::Minus { "small" } else { "large" };
                let (least, most) = (range.start(), range.end());
                self.fault(format!("{number} is too {size}; expected an integer within {least}..={most}"));
                None
            }
            _ => self.expected("an integer"),
        }
    }

    /// The value as a boolean.
    pub fn boolean(&self) -> Option<bool> {
        match self.value {
            Value::Bool(flag) => Some(*flag),
            _ => self.expected("true or false"),
        }
    }

    /// The value as an object whose members are not checked.
    pub fn map(&self) -> Option<&'v Map<'v>> {
        match self.value {
            Value::Map(map) => Some(map),
            _ => self.expected("an object"),
        }
    }

    /// Reads each element of a list; the elements that cannot be read are left out, their faults reported.
    pub fn list<T>(&self, mut read: impl FnMut(&Cursor<'v, '_>) -> Option<T>) -> Option<Vec<T>> {
        let Value::List(items) = self.value else {
            return self.expected("a list");
        };
        let mut out = Vec::with_capacity(items.len());
        for (index, value) in items.iter().enumerate() {
            let path = Path::Index(&self.path, index);
            out.extend(read(&Cursor { value, path, faults: self.faults }));
        }
        Some(out)
    }

    /// Reads a member of an object by its exact name, without checking the others.
    pub fn member<T>(&self, name: &str, read: impl FnOnce(&Cursor<'v, '_>) -> Option<T>) -> Option<T> {
        let value = self.map()?.get(name)?;
        read(&Cursor { value, path: Path::Member(&self.path, name), faults: self.faults })
    }

    /// The value as an object whose members are known; see [`Object`].
    pub fn object(&self, spelling: Spelling) -> Option<Object<'v, '_>> {
        let map = self.map()?;
        Some(Object { cursor: self, map, spelling, used: RefCell::default() })
    }

    /// One of `choices`, compared without regard to case.
    pub fn choice<T: Copy>(&self, choices: &[(&str, T)]) -> Option<T> {
        let chosen = choose(&self.string()?, choices);
        chosen.map_err(|error| self.fault(error)).ok()
    }
}

/// An object being read; remembers which members were asked for, to find the unknown ones.
pub struct Object<'v, 'c> {
    cursor: &'c Cursor<'v, 'c>,
    map: &'v Map<'v>,
    spelling: Spelling,
    used: RefCell<Vec<&'static str>>,
}

impl<'v> Object<'v, '_> {
    /// Reads member `name` if it is there and not null.
    pub fn optional<T>(
        &self,
        name: &'static str,
        read: impl FnOnce(&Cursor<'v, '_>) -> Option<T>,
    ) -> Option<T> {
        self.used.borrow_mut().push(name);
        let mut written = self.map.iter().filter(|(key, _)| self.is_spelled(key, name));
        let (key, value) = written.next()?;
        if let Some((again, _)) = written.next() {
            self.stand_on(again).fault(format!("means the same as `{key}`; leave one out"));
        }
        if value.is_null() {
            return None;
        }
        let path = Path::Member(&self.cursor.path, key);
        read(&Cursor { value, path, faults: self.cursor.faults })
    }

    /// Reads member `name`; its absence is a fault.
    pub fn required<T>(
        &self,
        name: &'static str,
        read: impl FnOnce(&Cursor<'v, '_>) -> Option<T>,
    ) -> Option<T> {
        if self.has(name) {
            return self.optional(name, read);
        }
        self.used.borrow_mut().push(name);
        if let Some((key, _)) = self.map.iter().find(|(key, _)| self.is_spelled(key, name)) {
            let null = self.stand_on(key);
            if read(&null).is_some() {
                null.fault("is null; a value is required"); // the reader takes anything
            }
            return None;
        }
        let path = Path::Member(&self.cursor.path, name);
        let misspelt = self.map.iter().find(|(key, _)| *key != name && is_camel_case_of(key, name));
        let message = match misspelt {
            Some((key, _)) => format!("missing; `{key}` is not read here, write `{name}`"),
            None => "missing".to_owned(),
        };
        Cursor { value: self.cursor.value, path, faults: self.cursor.faults }.fault(message);
        None
    }

    /// Whether member `name` is there and not null.
    pub fn has(&self, name: &str) -> bool {
        self.map.iter().any(|(key, value)| self.is_spelled(key, name) && !value.is_null())
    }

    /// Whether member `name` is there, null included.
    pub fn is_written(&self, name: &str) -> bool {
        self.map.iter().any(|(key, _)| self.is_spelled(key, name))
    }

    /// Visits each member that was not asked for, with its name. Call it after all known members were read.
    pub fn each_unknown(&self, mut visit: impl FnMut(&Cursor<'v, '_>, &str)) {
        let used = self.used.borrow();
        let known = |key: &str| used.iter().any(|name| self.is_spelled(key, name));
        for (key, _) in self.map.iter().filter(|(key, _)| !known(key)) {
            visit(&self.stand_on(key), key);
        }
    }

    /// Reports each member that was not asked for. Call it after all known members were read.
    pub fn refuse_unknown(&self) {
        self.each_unknown(|member, key| self.refuse(member, key));
    }

    /// Reports each member that was not asked for, but only notes those that are null: they say nothing, and writers
    /// that know later versions of a schema write all its members.
    pub fn refuse_unknown_unless_null(&self) {
        self.each_unknown(|member, key| {
            if member.value.is_null() {
                let note = member.to_fault("unknown member, ignored because it is null");
                self.cursor.faults.null_members.borrow_mut().push(note);
            } else {
                self.refuse(member, key);
            }
        });
    }

    fn refuse(&self, member: &Cursor<'_, '_>, key: &str) {
        let used = self.used.borrow();
        member.fault(format!("unknown member{}", did_you_mean(key, used.iter().copied())));
    }

    fn stand_on<'k>(&'k self, key: &'k str) -> Cursor<'v, 'k> {
        let value = self.map.get(key).unwrap_or(self.cursor.value);
        Cursor { value, path: Path::Member(&self.cursor.path, key), faults: self.cursor.faults }
    }

    fn is_spelled(&self, key: &str, name: &str) -> bool {
        key == name || (self.spelling == Spelling::SnakeOrCamel && is_camel_case_of(key, name))
    }
}

/// Whether `key` is the lower camel case spelling of the snake case `name`.
fn is_camel_case_of(key: &str, name: &str) -> bool {
    let mut written = key.chars();
    let mut upper = false;
    for character in name.chars() {
        if character == '_' {
            upper = true;
            continue;
        }
        let wanted = if upper { character.to_ascii_uppercase() } else { character };
        upper = false;
        if written.next() != Some(wanted) {
            return false;
        }
    }
    written.next().is_none()
}

/// The choice that `text` names, without regard to case.
///
/// # Errors
/// A message with the known names.
pub fn choose<T: Copy>(text: &str, choices: &[(&str, T)]) -> Result<T, String> {
    let found = choices.iter().find(|(name, _)| name.eq_ignore_ascii_case(text));
    found.map(|(_, choice)| *choice).ok_or_else(|| {
        let names: Vec<_> = choices.iter().map(|(name, _)| *name).collect();
        format!("unknown value `{text}`; expected one of {}", names.join(", "))
    })
}

/// `` ; did you mean `x`? `` with the nearest of `known`, or an empty text when none is similar enough.
pub fn did_you_mean<'k>(text: &str, known: impl Iterator<Item = &'k str>) -> String {
    let near = known
        .map(|name| (strsim::jaro_winkler(text, name), name))
        .filter(|(similarity, _)| *similarity > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0));
    near.map(|(_, name)| format!("; did you mean `{name}`?")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::parse;

    #[test]
    fn every_fault_is_reported_with_its_path() {
        let value = parse(r#"{"cases":[{"id":1},{"evalId":"x","extra":2}]}"#).unwrap();
        let faults = Faults::default();
        let root = Cursor::root(&value, &faults);
        let object = root.object(Spelling::Snake).unwrap();
        object.required("cases", |cases| {
            cases.list(|case| {
                let case = case.object(Spelling::SnakeOrCamel)?;
                let id = case.required("eval_id", |id| id.string());
                case.refuse_unknown();
                id
            })
        });
        let found: Vec<_> = faults.into_vec().iter().map(ToString::to_string).collect();
        assert_eq!(
            found,
            [
                "$.cases[0].eval_id: missing",
                "$.cases[0].id: unknown member",
                "$.cases[1].extra: unknown member"
            ]
        );
    }

    #[test]
    fn numbers_without_bounds_and_nulls_are_named_as_they_are() {
        let value = parse(r#"{"a":99999999999999999999999,"b":-99999999999999999999999,"c":null}"#).unwrap();
        let faults = Faults::default();
        let root = Cursor::root(&value, &faults);
        let object = root.object(Spelling::Snake).unwrap();
        object.optional("a", |a| a.integer(0..=9));
        object.optional("b", |b| b.integer(0..=9));
        object.required("c", |c| c.number());
        let found: Vec<_> = faults.into_vec().iter().map(ToString::to_string).collect();
        assert_eq!(
            found,
            [
                "$.a: 99999999999999999999999 is too large; expected an integer within 0..=9",
                "$.b: -99999999999999999999999 is too small; expected an integer within 0..=9",
                "$.c: expected a number, got null"
            ]
        );
    }

    #[test]
    fn pointers_escape_what_has_a_meaning_in_them() {
        let value = parse(r#"{"a/b":[{"c~d":1}]}"#).unwrap();
        let faults = Faults::default();
        let root = Cursor::root(&value, &faults);
        root.member("a/b", |list| list.list(|item| item.member("c~d", |leaf| leaf.string())));
        assert_eq!(faults.into_vec()[0].pointer, "/a~1b/0/c~0d");
    }

    #[test]
    fn a_member_in_both_spellings_is_refused() {
        let value = parse(r#"{"trace_id":"a","traceId":"b"}"#).unwrap();
        let faults = Faults::default();
        let root = Cursor::root(&value, &faults);
        root.object(Spelling::SnakeOrCamel).unwrap().optional("trace_id", |id| id.string());
        let found = faults.into_vec()[0].to_string();
        assert_eq!(found, "$.traceId: means the same as `trace_id`; leave one out");
    }
}
