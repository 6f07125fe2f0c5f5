//! Domain enums as members, encoded by their names.

use std::borrow::Cow;

use poem_openapi::registry::{MetaSchema, MetaSchemaRef, Registry};
use poem_openapi::types::{ParseError, ParseFromJSON, ParseResult, ToJSON, Type};
use serde::{Serialize, Serializer};
use serde_json::Value;

use super::member::impl_member;

/// A domain type with a name for each of its values.
pub(crate) trait Vocabulary: Copy + PartialEq + Send + Sync + 'static {
    /// Name of the schema.
    const SCHEMA: &'static str;
    /// Description of the values in the OpenAPI document.
    const ABOUT: &'static str;
    /// Every value with its name.
    const NAMES: &'static [(&'static str, Self)];
}

/// Implements [`Vocabulary`] for a domain type that has a table `NAMES`.
macro_rules! vocabulary {
    ($type:ty, $schema:literal, $about:literal) => {
        impl $crate::schema::Vocabulary for $type {
            const SCHEMA: &'static str = $schema;
            const ABOUT: &'static str = $about;
            const NAMES: &'static [(&'static str, Self)] = &<$type>::NAMES;
        }
    };
}
pub(crate) use vocabulary;

/// A domain value, encoded by its name.
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
