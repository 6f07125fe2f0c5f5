//! Types of members of JSON answers whose schema poem-openapi cannot derive.
//!
//! Serde encodes answers; poem-openapi only describes them in the OpenAPI document. So these types implement
//! poem-openapi's traits for the description, and are never parsed.

mod member;
mod shapes;
mod vocabulary;

pub(crate) use shapes::{Described, FreeObject, Nullable, RawObject, Time};
pub(crate) use vocabulary::{Named, Vocabulary, vocabulary};
