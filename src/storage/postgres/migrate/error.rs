//! Failures of migrations and of checks of the schema, with remedies.

use std::time::Duration;

use super::super::DatabaseError;

/// Why a migration, or a check of the schema, failed.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// An earlier migration stopped half way.
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
        /// The last version that this program knows.
        known: u32,
    },
    /// The schema is older than this program needs.
    #[error("the schema is at version {found} and has to be at {needed}; run `agentevals migrate up`")]
    Pending {
        /// The schema's version.
        found: u32,
        /// The version that this program needs.
        needed: u32,
    },
    /// There is no migration with this version (first field); the second field is the last known one.
    #[error("there is no migration {0}; known are 0 (none) to {1}")]
    Unknown(u32, u32),
    /// There is no migration to revert.
    #[error("no migration is applied, so none can be reverted")]
    NothingApplied,
    /// Another migrator held the lock for the whole wait.
    #[error("another migration has been running for {} s; wait for it, or allow more with --migrate-lock-timeout", .0.as_secs())]
    Locked(Duration),
    /// A migration failed; the schema is marked dirty.
    #[error(
        "migration `{name}` failed and {remains}; fix the cause, then `agentevals migrate force {before}` and try again"
    )]
    Failed {
        /// The migration.
        name: &'static str,
        /// Its remains in the database, as the rest of a sentence.
        remains: &'static str,
        /// The version before it.
        before: u32,
        /// The cause.
        source: DatabaseError,
    },
    /// The database failed.
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

impl From<tokio_postgres::Error> for MigrateError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Database(error.into())
    }
}
