//! Why the schema is not what it should be, and what to do about it.

use std::time::Duration;

use super::super::DatabaseError;

/// Why a migration, or a check of the schema, failed.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// An earlier migration was left half done.
    #[error(
        "the schema is marked dirty at version {0}: a migration stopped half way; look what it has done, complete or \
         undo that, then say where the schema is with `agentevals migrate force VERSION`"
    )]
    Dirty(u32),
    /// The schema belongs to a newer program.
    #[error("the schema is at version {found}, this program knows versions up to {known}; use a newer one")]
    Newer {
        /// The schema's version.
        found: i64,
        /// The last one known.
        known: u32,
    },
    /// The schema is older than this program needs.
    #[error("the schema is at version {found} and has to be at {needed}; run `agentevals migrate up`")]
    Pending {
        /// The schema's version.
        found: u32,
        /// The one needed.
        needed: u32,
    },
    /// A version that no migration has.
    #[error("there is no migration {0}; known are 0 (none) to {1}")]
    Unknown(u32, u32),
    /// Nothing is applied that could be reverted.
    #[error("no migration is applied, so none can be reverted")]
    NothingApplied,
    /// Another migrator has not finished.
    #[error("another migration has been running for {} s; wait for it, or allow more with --migrate-lock-timeout", .0.as_secs())]
    Locked(Duration),
    /// A migration failed; the schema is marked dirty.
    #[error(
        "migration `{name}` failed and {remains}; fix the cause, then `agentevals migrate force {before}` and try again"
    )]
    Failed {
        /// The migration.
        name: &'static str,
        /// What it has left behind.
        remains: &'static str,
        /// The version before it.
        before: u32,
        /// Why it failed.
        source: DatabaseError,
    },
    /// The database could not be asked.
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

impl From<tokio_postgres::Error> for MigrateError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Database(error.into())
    }
}
