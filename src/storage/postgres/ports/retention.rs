//! Deletion from PostgreSQL.

use std::time::Duration;

use async_trait::async_trait;
use tokio_postgres::types::ToSql;

use super::queries as sql;
use super::store::PostgresStore;
use super::values::{count, milliseconds};
use crate::ids::RunId;
use crate::runs::{Deletion, Retention, Runs, StoreError, StoreResult};

#[async_trait]
impl Retention for PostgresStore {
    async fn delete(&self, id: RunId) -> StoreResult<Option<Deletion>> {
        if !self.database.query(&sql::DELETE, &[&id.0, &None::<i64>, &0_i64]).await?.is_empty() {
            return Ok(Some(Deletion::Done));
        }
        match self.run(id).await? {
            // The run has ended since the statement above, so the same call can succeed now.
            Some(run) if run.status.is_terminal() => {
                Err(StoreError::Unavailable(format!("run `{id}` is being changed")))
            }
            run => Ok(run.map(|run| Deletion::Refused(run.status))),
        }
    }

    async fn purge(&self, age: Duration, limit: usize) -> StoreResult<usize> {
        let parameters: &[&(dyn ToSql + Sync)] = &[&None::<uuid::Uuid>, &milliseconds(age), &count(limit)];
        Ok(self.database.query(&sql::DELETE, parameters).await?.len())
    }
}
