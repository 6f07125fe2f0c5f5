//! Types of the members of JSON documents whose schema poem-openapi cannot express by itself.
//!
//! Answers are encoded by serde; poem-openapi's derive only describes them in the OpenAPI document. So these types
//! describe themselves there and are never parsed.

mod member;
mod shapes;
mod vocabulary;

pub(crate) use shapes::{Described, FreeObject, Nullable, RawObject, Time};
pub(crate) use vocabulary::{Named, Vocabulary, vocabulary};
