//! Why storage did not do what it was asked.

/// Why storage did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It cannot be reached now; the same call may succeed later.
    #[error("storage is unavailable: {0}")]
    Unavailable(String),
    /// It holds as much as it may.
    #[error("storage is full: {0}")]
    Full(String),
    /// A fault of ours or of the database.
    #[error(transparent)]
    Other(#[from] anyhow::Error),
}

/// The result of a call to storage.
pub type StoreResult<T> = Result<T, StoreError>;
