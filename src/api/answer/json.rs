//! JSON answers, encoded by serde.

use std::marker::PhantomData;

use poem::{IntoResponse, Response};
use poem_openapi::payload::Payload;
use poem_openapi::registry::{MetaSchemaRef, Registry};
use poem_openapi::types::Type;
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::member::Described;
use crate::api::problem::Problem;

/// An answer as JSON, encoded by serde, which leaves raw JSON inside untouched.
#[derive(Debug)]
pub(in crate::api) struct Json<T> {
    bytes: Vec<u8>,
    described: Described<T>,
}

impl<T: Serialize> Json<T> {
    /// Encodes an answer.
    ///
    /// # Errors
    /// An internal problem: serde cannot encode the answer.
    pub(in crate::api) fn encode(answer: &T) -> Result<Self, Problem> {
        let bytes = serde_json::to_vec(answer).map_err(Problem::internal)?;
        Ok(Self { bytes, described: PhantomData })
    }

    /// A strong entity tag: equal if and only if the bytes are.
    pub(in crate::api) fn entity_tag(&self) -> String {
        let digest = Sha256::digest(&self.bytes);
        let hex: String = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        format!("\"{hex}\"")
    }
}

impl<T: Type> Payload for Json<T> {
    const CONTENT_TYPE: &'static str = "application/json";

    fn schema_ref() -> MetaSchemaRef {
        T::schema_ref()
    }

    fn register(registry: &mut Registry) {
        T::register(registry);
    }
}

impl<T: Type> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        Response::builder().content_type(Self::CONTENT_TYPE).body(self.bytes)
    }
}
