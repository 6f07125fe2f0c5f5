//! The macro that describes the type of a member to poem-openapi.

/// Implements the traits that poem-openapi requires of a member's type, from its name and its schema.
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
pub(super) use impl_member;
