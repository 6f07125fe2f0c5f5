//! The store, and how failures of its database look to callers.

use super::queries as sql;
use crate::runs::StoreError;
use crate::storage::postgres::{Database, DatabaseError};

/// Keeps runs in PostgreSQL.
#[derive(Clone)]
pub struct PostgresStore {
    pub(super) database: Database,
}

impl PostgresStore {
    /// A store over a database whose schema is up to date; events restored from another cluster are made its own.
    ///
    /// # Errors
    /// `Unavailable`, or the schema is not what it has to be.
    pub async fn open(database: Database) -> Result<Self, DatabaseError> {
        database.execute(&sql::ADOPT, &[]).await?;
        Ok(Self { database })
    }
}

impl From<DatabaseError> for StoreError {
    fn from(error: DatabaseError) -> Self {
        match error {
            // Access that was granted before may be granted again: a password is being changed, say.
            DatabaseError::Unavailable(_) | DatabaseError::Denied(_) => Self::Unavailable(error.to_string()),
            DatabaseError::Conflict { .. } => Self::Other(anyhow::Error::new(error)),
            DatabaseError::Other(error) => Self::Other(error),
        }
    }
}
