//! The outcome of one try to send a message.

use std::time::Duration;

use reqwest::StatusCode;

use crate::credentials::CredentialError;

/// A successful try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sent {
    /// HTTP status of the answer, from a webhook.
    pub(super) status: Option<u16>,
}

impl Sent {
    pub(super) fn answered(status: StatusCode) -> Self {
        Self { status: Some(status.as_u16()) }
    }
}

/// A failed try. The message may have arrived all the same, when the answer was lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SendError {
    /// HTTP status of the answer, if there was one.
    pub(super) status: Option<u16>,
    /// Why, without secrets.
    pub(super) text: String,
    /// Whether another try may succeed.
    pub(super) is_transient: bool,
    /// Shortest wait before the next try, as the receiver asked for it.
    pub(super) retry_after: Option<Duration>,
    /// Most tries of a message to this sink.
    pub(super) max_tries: u32,
}

impl SendError {
    /// A permanent failure.
    pub(super) fn new(text: impl Into<String>) -> Self {
        let text = text.into();
        Self { status: None, text, is_transient: false, retry_after: None, max_tries: 1 }
    }

    /// A transient failure.
    pub(super) fn for_now(text: impl Into<String>) -> Self {
        Self { is_transient: true, ..Self::new(text) }
    }
}

impl From<CredentialError> for SendError {
    /// Every failed look-up of a secret is transient: its file may be in the middle of an exchange, and another process
    /// may have a secret that this one lacks.
    fn from(error: CredentialError) -> Self {
        Self::for_now(error.to_string())
    }
}
