//! Failures of storage.

/// Why a call to storage failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Storage cannot be reached now; the same call may succeed later.
    #[error("storage is unavailable: {0}")]
    Unavailable(String),
    /// A limit on stored runs or bytes is reached.
    #[error("storage is full: {0}")]
    Full(String),
    /// A fault of this program or of the database; repeating the call does not help.
    #[error(transparent)]
    Other(#[from] anyhow::Error),
}

/// The result of a call to storage.
pub type StoreResult<T> = Result<T, StoreError>;
