//! The outcome of one try to send a message.

use std::time::Duration;

use reqwest::StatusCode;

use crate::credentials::CredentialError;

/// A message that arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sent {
    /// HTTP status of the answer.
    pub(super) status: Option<u16>,
}

impl Sent {
    pub(super) fn answered(status: StatusCode) -> Self {
        Self { status: Some(status.as_u16()) }
    }
}

/// A message that did not arrive, as far as we know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SendError {
    /// HTTP status of the answer.
    pub(super) status: Option<u16>,
    /// Why, without anything that may be secret.
    pub(super) text: String,
    /// Whether the next attempt may do better.
    pub(super) is_transient: bool,
    /// How long the receiver wants to be left alone.
    pub(super) retry_after: Option<Duration>,
    /// How often a message to this sink is tried.
    pub(super) max_attempts: u32,
}

impl SendError {
    /// A failure for good.
    pub(super) fn new(text: impl Into<String>) -> Self {
        let text = text.into();
        Self { status: None, text, is_transient: false, retry_after: None, max_attempts: 1 }
    }

    /// A failure for now.
    pub(super) fn for_now(text: impl Into<String>) -> Self {
        Self { is_transient: true, ..Self::new(text) }
    }
}

impl From<CredentialError> for SendError {
    /// Every failure to look a secret up may pass: a file may be exchanged at this moment, and another process may
    /// have the secret that this one lacks.
    fn from(error: CredentialError) -> Self {
        Self::for_now(error.to_string())
    }
}
