//! Why an upload is refused.

use crate::json::SyntaxError;
use crate::json::checked::Fault;

/// Why an upload is refused: all its faults, at least one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .faults.iter().map(|fault| &*fault.detail).collect::<Vec<_>>().join("; "))]
pub struct UploadError {
    /// In which way.
    pub refusal: Refusal,
    /// What is wrong.
    pub faults: Vec<UploadFault>,
}

/// In which way an upload is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The body is not JSON.
    Malformed,
    /// Parts of the form are missing.
    Incomplete,
    /// The body does not have the members that it should have.
    Misshapen,
    /// Something in it cannot be used.
    Unusable,
    /// No trace could be read.
    NoTraces,
    /// Its evaluation took too long.
    Late,
}

/// One fault of an upload.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UploadFault {
    /// Which part of the form.
    pub part: Option<&'static str>,
    /// Where in that part, or in the body: a JSON pointer.
    pub pointer: Option<String>,
    /// What is wrong and what was expected.
    pub detail: String,
}

impl UploadFault {
    /// A fault of a part of a form as a whole.
    pub(super) fn of(part: &'static str, detail: impl Into<String>) -> Self {
        Self { part: Some(part), pointer: None, detail: detail.into() }
    }

    /// A fault of the JSON in a part.
    pub(super) fn syntax(part: &'static str, error: &SyntaxError) -> Self {
        Self::of(part, format!("is not JSON: {error}"))
    }

    /// A fault at a place of a part, or of the body when there are no parts.
    pub(super) fn located(part: Option<&'static str>, problem: Fault) -> Self {
        Self { part, pointer: Some(problem.pointer), detail: problem.message }
    }
}

impl UploadError {
    /// The upload is refused in this way if there is a fault.
    pub(super) fn unless_empty(refusal: Refusal, faults: Vec<UploadFault>) -> Result<(), Self> {
        if faults.is_empty() { Ok(()) } else { Err(Self { refusal, faults }) }
    }
}
