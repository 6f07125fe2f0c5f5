//! The queue in PostgreSQL.

use std::time::Duration;

use async_trait::async_trait;
use tokio_postgres::types::ToSql;

use super::store::PostgresStore;
use super::values::{count, lease_columns, milliseconds, text};
use super::{queries as sql, record, rows};
use crate::outbox::CANCELLED;
use crate::queue::{Claimed, Held, LEASE_LOST, Lease, PreparedRecord, Queue, SHUTDOWN, Scan};
use crate::runs::{Failure, StoreResult};

#[async_trait]
impl Queue for PostgresStore {
    async fn claim(&self, worker: &str, limit: usize, lease: Duration) -> StoreResult<Vec<Claimed>> {
        let parameters: &[&(dyn ToSql + Sync)] = &[&worker, &count(limit), &milliseconds(lease)];
        self.database.query(&sql::CLAIM, parameters).await?.iter().map(rows::claimed).collect()
    }

    async fn heartbeat(&self, leases: &[Lease], lease: Duration) -> StoreResult<Vec<Held>> {
        let (runs, ids) = lease_columns(leases);
        let rows = self.database.query(&sql::HEARTBEAT, &[&runs, &ids, &milliseconds(lease)]).await?;
        rows.iter().map(rows::held).collect()
    }

    async fn record(&self, records: &[PreparedRecord<'_>]) -> StoreResult<Vec<bool>> {
        record::record(&self.database, records).await
    }

    async fn requeue(&self, lease: Lease, reason: &Failure, delay: Duration) -> StoreResult<bool> {
        let (code, message, delay) = (&reason.code, text(&reason.message), milliseconds(delay));
        let rows =
            self.database.query(&sql::REQUEUE, &[&lease.run.0, &lease.id.0, &delay, &code, &message]).await?;
        Ok(!rows.is_empty())
    }

    async fn release(&self, leases: &[Lease]) -> StoreResult<()> {
        let (runs, ids) = lease_columns(leases);
        self.database.execute(&sql::RELEASE, &[&runs, &ids, &SHUTDOWN.0, &SHUTDOWN.1]).await?;
        Ok(())
    }

    async fn reap(&self) -> StoreResult<usize> {
        let reasons: [&(dyn ToSql + Sync); 4] = [&LEASE_LOST.0, &LEASE_LOST.1, &CANCELLED.0, &CANCELLED.1];
        let rows = self.database.query(&sql::REAP, &reasons).await?;
        Ok(rows.len())
    }

    async fn scan(&self) -> StoreResult<Scan> {
        let rows = self.database.query(&sql::SCAN, &[]).await?;
        rows.first().map_or(Ok(Scan::default()), rows::scan)
    }
}
