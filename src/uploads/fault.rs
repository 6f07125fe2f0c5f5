//! Why an upload is refused.

use crate::json::SyntaxError;
use crate::json::checked::Fault;

/// A refused upload: all its faults of one kind, at least one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .faults.iter().map(|fault| &*fault.detail).collect::<Vec<_>>().join("; "))]
pub struct UploadError {
    /// The kind of refusal, which decides the HTTP status.
    pub refusal: Refusal,
    /// The faults.
    pub faults: Vec<PartFault>,
}

/// The kind of a refusal, which decides the HTTP status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The body is not JSON.
    Malformed,
    /// Parts of the form are missing.
    Incomplete,
    /// The body lacks members, or has some of the wrong type.
    Misshapen,
    /// A value cannot be used.
    Unusable,
    /// No trace could be read.
    NoTraces,
    /// Its evaluation took too long.
    Late,
}

/// One fault of an upload.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PartFault {
    /// The part of the form.
    pub part: Option<&'static str>,
    /// JSON pointer to its place in that part, or in the body.
    pub pointer: Option<String>,
    /// The fault and what was expected, in words.
    pub detail: String,
}

impl PartFault {
    /// A fault of a part of a form as a whole.
    pub(super) fn of(part: &'static str, detail: impl Into<String>) -> Self {
        Self { part: Some(part), pointer: None, detail: detail.into() }
    }

    /// A fault of the JSON in a part.
    pub(super) fn syntax(part: &'static str, error: &SyntaxError) -> Self {
        Self::of(part, format!("is not JSON: {error}"))
    }

    /// A fault at a place in a part, or in the body if there are no parts.
    pub(super) fn located(part: Option<&'static str>, fault: Fault) -> Self {
        Self { part, pointer: Some(fault.pointer), detail: fault.message }
    }
}

impl UploadError {
    /// Succeeds if there are no faults.
    pub(super) fn unless_empty(refusal: Refusal, faults: Vec<PartFault>) -> Result<(), Self> {
        if faults.is_empty() { Ok(()) } else { Err(Self { refusal, faults }) }
    }
}
