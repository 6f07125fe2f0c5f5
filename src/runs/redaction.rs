//! Temporary stand-in.
#![allow(missing_docs)]

pub fn redacted(spec: &str) -> Result<String, crate::json::SyntaxError> {
    Ok(spec.to_owned())
}
