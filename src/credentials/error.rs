//! Failures to look up a secret.

/// Why a secret cannot be used. The text names the reference, never the value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CredentialError {
    /// It does not exist, may not be read, or has no usable value; another look-up would fail too.
    #[error("{0}")]
    Unusable(String),
    /// Its store cannot be reached now.
    #[error("{0}")]
    Unavailable(String),
}

impl CredentialError {
    /// Whether the same look-up may succeed later.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }

    /// The same failure with the name of the credential in its text.
    pub(super) fn within(self, credential: &str) -> Self {
        let named = |why: String| format!("credential `{credential}`: {why}");
        match self {
            Self::Unusable(why) => Self::Unusable(named(why)),
            Self::Unavailable(why) => Self::Unavailable(named(why)),
        }
    }
}
