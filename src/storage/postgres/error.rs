//! Failures of the database, by what a caller can do about them. The driver's errors do not leave this folder.

use std::error::Error;
use std::io;

use tokio_postgres::error::{DbError, SqlState};

/// Why a statement was not executed, or a connection not opened.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// The server cannot be reached, or cannot do this now; the same may succeed later.
    #[error("the database is not available: {0}")]
    Unavailable(String),
    /// The server refuses access: wrong password, unknown database, certificate or permission. Waiting does not help.
    #[error("the database refuses access: {0}")]
    Denied(String),
    /// Another row has a value that must be unique.
    #[error("a stored row has the same value (constraint `{constraint}`)")]
    Conflict {
        /// The unique constraint or index.
        constraint: String,
    },
    /// Anything else: a fault of a statement or of the schema.
    #[error(transparent)]
    Other(#[from] anyhow::Error),
}

impl DatabaseError {
    /// Whether the same may succeed later without a change on this side.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unavailable(_) => true,
            Self::Denied(_) | Self::Conflict { .. } | Self::Other(_) => false,
        }
    }
}

impl From<tokio_postgres::Error> for DatabaseError {
    fn from(error: tokio_postgres::Error) -> Self {
        if let Some(reported) = error.as_db_error() {
            return classify(reported);
        }
        let text = chain(&error);
        match error.source().and_then(|source| source.downcast_ref::<io::Error>()) {
            Some(cause) if is_tls_fault(cause) => Self::Denied(text),
            Some(_) => Self::Unavailable(text),
            None if error.is_closed() => Self::Unavailable(text),
            None => Self::Other(anyhow::Error::msg(text)),
        }
    }
}

/// Maps SQLSTATE codes to causes; the only place that does.
fn classify(reported: &DbError) -> DatabaseError {
    let text = describe(reported);
    let code = reported.code();
    let is_unavailable = [
        SqlState::ADMIN_SHUTDOWN,
        SqlState::CRASH_SHUTDOWN,
        SqlState::CANNOT_CONNECT_NOW,
        SqlState::QUERY_CANCELED,
        SqlState::T_R_SERIALIZATION_FAILURE,
        SqlState::T_R_DEADLOCK_DETECTED,
        SqlState::LOCK_NOT_AVAILABLE,
        // After a failover the server of this connection is a standby.
        SqlState::READ_ONLY_SQL_TRANSACTION,
    ];
    let is_denied = [SqlState::INVALID_CATALOG_NAME, SqlState::INSUFFICIENT_PRIVILEGE];
    match code.code().get(..2).unwrap_or_default() {
        // Class 08: connection exceptions; 53: out of connections, memory or disk.
        "08" | "53" => DatabaseError::Unavailable(text),
        _ if is_unavailable.contains(code) => DatabaseError::Unavailable(text),
        // Class 28: invalid authorization, such as a wrong password.
        "28" => DatabaseError::Denied(text),
        _ if is_denied.contains(code) => DatabaseError::Denied(text),
        _ if *code == SqlState::UNIQUE_VIOLATION => {
            DatabaseError::Conflict { constraint: reported.constraint().unwrap_or("?").to_owned() }
        }
        _ => DatabaseError::Other(anyhow::Error::msg(text)),
    }
}

/// The server's message and hint, without `detail`, which quotes rows.
fn describe(reported: &DbError) -> String {
    let hint = reported.hint().map(|hint| format!("; {hint}")).unwrap_or_default();
    format!("{}{hint} (SQLSTATE {})", reported.message(), reported.code().code())
}

/// Whether a connection failed over a certificate, or for want of a common TLS version or cipher.
pub(super) fn is_tls_fault(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|cause| cause.is::<rustls::Error>())
}

/// An error with its causes, since the driver's own text is only `db error`.
pub(super) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}
