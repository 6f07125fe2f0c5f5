//! Members whose schema poem-openapi cannot derive.

use std::borrow::Cow;
use std::marker::PhantomData;

use chrono::{DateTime, SecondsFormat, Utc};
use poem_openapi::registry::{MetaSchema, MetaSchemaRef, Registry};
use poem_openapi::types::{ParseError, ParseFromJSON, ParseResult, ToJSON, Type};
use serde::{Serialize, Serializer};
use serde_json::Value;
use serde_json::value::RawValue;

use super::member::impl_member;

/// A member that is always present and may be null.
///
/// It is always present because clients of the reference rely on that. It is documented as required and nullable;
/// poem-openapi documents its own `Option`, which is written as null too, as if it were never null.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(transparent)]
pub(crate) struct Nullable<T>(pub(crate) Option<T>);

impl<T> Nullable<T> {
    /// The member of an optional domain value.
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

/// A JSON object that is passed on byte for byte.
#[derive(Debug, Clone, Serialize)]
#[serde(transparent)]
pub(crate) struct RawObject(pub(crate) Box<RawValue>);

impl PartialEq for RawObject {
    fn eq(&self, other: &Self) -> bool {
        self.0.get() == other.0.get()
    }
}

impl_member! { [] RawObject, "raw_object", free_object(), |_| {} }

/// An object whose members the document does not describe.
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

/// Marks a type that appears only in the OpenAPI document.
pub(crate) type Described<T> = PhantomData<fn() -> T>;
