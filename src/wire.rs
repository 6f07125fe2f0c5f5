//! Shapes of members of JSON documents whose schema poem-openapi cannot express by itself.
//!
//! What goes out is encoded by serde, once and for all types; what poem-openapi derives only describes it. So these
//! types say what they look like in the document and are never parsed.

use std::borrow::Cow;
use std::marker::PhantomData;

use chrono::{DateTime, SecondsFormat, Utc};
use poem_openapi::registry::{MetaSchema, MetaSchemaRef, Registry};
use poem_openapi::types::{ParseError, ParseFromJSON, ParseResult, ToJSON, Type};
use serde::{Serialize, Serializer};
use serde_json::Value;
use serde_json::value::RawValue;

/// Implements what poem-openapi asks of a member's type, from its name and its schema.
macro_rules! impl_member {
    ([$($generics:tt)*] $type:ty, $name:expr, $schema:expr, $register:expr) => {
        impl<$($generics)*> Type for $type {
            const IS_REQUIRED: bool = true;

            type RawValueType = Self;
            type RawElementValueType = Self;

            fn name() -> Cow<'static, str> {
                Cow::from($name)
            }

            fn schema_ref() -> MetaSchemaRef {
                $schema
            }

            fn register(registry: &mut Registry) {
                let register: fn(&mut Registry) = $register;
                register(registry);
            }

            fn as_raw_value(&self) -> Option<&Self> {
                Some(self)
            }

            fn raw_element_iter<'a>(&'a self) -> Box<dyn Iterator<Item = &'a Self> + 'a> {
                Box::new(std::iter::once(self))
            }
        }

        impl<$($generics)*> ToJSON for $type {
            fn to_json(&self) -> Option<Value> {
                serde_json::to_value(self).ok()
            }
        }

        impl<$($generics)*> ParseFromJSON for $type {
            fn parse_from_json(_: Option<Value>) -> ParseResult<Self> {
                Err(ParseError::custom("is only written"))
            }
        }
    };
}

/// A member that is always present and may be null.
///
/// Present, because clients of the reference read it without asking; documented as required and nullable, because
/// poem-openapi's own `Option` is written as null and documented as if it were never null.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(transparent)]
pub(crate) struct Nullable<T>(pub(crate) Option<T>);

impl<T> Nullable<T> {
    /// Takes over a domain value that may be missing.
    pub(crate) fn from<S: Into<T>>(value: Option<S>) -> Self {
        Self(value.map(Into::into))
    }
}

impl_member! {
    [T: Type + Serialize] Nullable<T>,
    format!("nullable_{}", T::name()),
    nullable(T::schema_ref()),
    T::register
}

fn nullable(schema: MetaSchemaRef) -> MetaSchemaRef {
    MetaSchemaRef::Inline(Box::new(match schema {
        MetaSchemaRef::Inline(schema) => MetaSchema { nullable: true, ..*schema },
        reference => MetaSchema { nullable: true, all_of: vec![reference], ..MetaSchema::ANY },
    }))
}

/// A moment, written as RFC 3339 in UTC with microseconds, as storage keeps it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Time(pub(crate) DateTime<Utc>);

impl From<DateTime<Utc>> for Time {
    fn from(time: DateTime<Utc>) -> Self {
        Self(time)
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0.to_rfc3339_opts(SecondsFormat::Micros, true))
    }
}

impl_member! { [] Time, "time", <DateTime<Utc> as Type>::schema_ref(), |_| {} }

/// JSON that is handed on as it was written.
#[derive(Debug, Clone, Serialize)]
#[serde(transparent)]
pub(crate) struct RawObject(pub(crate) Box<RawValue>);

impl PartialEq for RawObject {
    fn eq(&self, other: &Self) -> bool {
        self.0.get() == other.0.get()
    }
}

impl_member! { [] RawObject, "raw_object", free_object(), |_| {} }

/// An object whose members are not described.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(transparent)]
pub(crate) struct FreeObject(pub(crate) Value);

impl From<Value> for FreeObject {
    fn from(value: Value) -> Self {
        Self(value)
    }
}

impl_member! { [] FreeObject, "free_object", free_object(), |_| {} }

fn free_object() -> MetaSchemaRef {
    let anything = MetaSchemaRef::Inline(Box::new(MetaSchema::ANY));
    let schema = MetaSchema { additional_properties: Some(Box::new(anything)), ..MetaSchema::new("object") };
    MetaSchemaRef::Inline(Box::new(schema))
}

/// A domain type with a name for each of its values.
pub(crate) trait Vocabulary: Copy + PartialEq + Send + Sync + 'static {
    /// What the schema is called.
    const SCHEMA: &'static str;
    /// What the values mean, for the document.
    const ABOUT: &'static str;
    /// Every value with its name.
    const NAMES: &'static [(&'static str, Self)];
}

/// Declares the names of a domain type that has a table `NAMES` of them.
macro_rules! vocabulary {
    ($type:ty, $schema:literal, $about:literal) => {
        impl $crate::wire::Vocabulary for $type {
            const SCHEMA: &'static str = $schema;
            const ABOUT: &'static str = $about;
            const NAMES: &'static [(&'static str, Self)] = &<$type>::NAMES;
        }
    };
}
pub(crate) use vocabulary;

/// A domain value, written by its name.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Named<T>(pub(crate) T);

impl<T> From<T> for Named<T> {
    fn from(value: T) -> Self {
        Self(value)
    }
}

impl<T: Vocabulary> Named<T> {
    /// The name.
    pub(crate) fn name(self) -> &'static str {
        T::NAMES.iter().find(|(_, known)| *known == self.0).map_or("", |(name, _)| *name)
    }
}

impl<T: Vocabulary> Serialize for Named<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl_member! {
    [T: Vocabulary] Named<T>,
    T::SCHEMA,
    MetaSchemaRef::Reference(T::SCHEMA.to_owned()),
    |registry| {
        registry.create_schema::<Self, _>(T::SCHEMA.to_owned(), |_| MetaSchema {
            description: Some(T::ABOUT),
            enum_items: T::NAMES.iter().map(|(name, _)| Value::from(*name)).collect(),
            ..MetaSchema::new("string")
        });
    }
}

/// Marks a type that is only part of the document.
pub(crate) type Described<T> = PhantomData<fn() -> T>;
