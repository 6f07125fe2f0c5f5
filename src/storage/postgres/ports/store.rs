//! The store over a database, and the translation of its errors.

use super::queries as sql;
use crate::runs::StoreError;
use crate::storage::postgres::{Database, DatabaseError};

/// Keeps runs in PostgreSQL.
#[derive(Clone)]
pub struct PostgresStore {
    pub(super) database: Database,
}

impl PostgresStore {
    /// A store over a database whose schema is up to date. Events restored from a dump of another cluster become the
    /// oldest in the feed, since their transaction ids mean nothing here.
    ///
    /// # Errors
    /// `Unavailable`, or a statement fails because the schema has another version.
    pub async fn open(database: Database) -> Result<Self, DatabaseError> {
        database.execute(&sql::ADOPT, &[]).await?;
        Ok(Self { database })
    }
}

impl From<DatabaseError> for StoreError {
    fn from(error: DatabaseError) -> Self {
        match error {
            // Access may be granted again, for instance once a password change is complete.
            DatabaseError::Unavailable(_) | DatabaseError::Denied(_) => Self::Unavailable(error.to_string()),
            DatabaseError::Conflict { .. } => Self::Other(anyhow::Error::new(error)),
            DatabaseError::Other(error) => Self::Other(error),
        }
    }
}
