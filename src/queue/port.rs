//! The port [`Queue`]: runs that wait for a worker, and runs under a lease.

use std::time::Duration;

use async_trait::async_trait;

use super::model::{Claimed, Lease, PreparedRecord};
use crate::runs::{Failure, StoreResult};

/// Code and text of the failure of a run whose lease ended before the run did.
pub const LEASE_LOST: (&str, &str) = ("lease_lost", "its worker stopped responding");

/// Code and text of the reason why a run was given back at shutdown.
pub const SHUTDOWN: (&str, &str) = ("shutdown", "its worker is shutting down");

/// State of the whole queue.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Scan {
    /// Whether a run can be claimed now.
    pub has_due: bool,
    /// Whether a lease has ended before its run did.
    pub has_lost: bool,
    /// Time until the next lease or back-off ends.
    pub next_due: Option<Duration>,
}

/// A lease that is still held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// The lease.
    pub lease: Lease,
    /// Whether the cancellation of its run was requested.
    pub cancel_requested: bool,
}

/// Storage for the queue.
///
/// Times are those of the storage's own clock. Every write of a worker names its lease; if the lease is lost, the write
/// changes nothing and its answer says so.
#[async_trait]
pub trait Queue: Send + Sync {
    /// Claims the most urgent due runs, by priority then age, each under a new lease.
    async fn claim(&self, worker: &str, limit: usize, lease: Duration) -> StoreResult<Vec<Claimed>>;

    /// Extends leases; returns those that are still held.
    async fn heartbeat(&self, leases: &[Lease], lease: Duration) -> StoreResult<Vec<Held>>;

    /// Writes results, progress, endings and messages to sinks in one transaction, at most one record per run; returns
    /// for each, in the order given, whether its lease was still held. The end of an attempt deletes results of earlier
    /// ones.
    async fn record(&self, records: &[PreparedRecord<'_>]) -> StoreResult<Vec<bool>>;

    /// Queues a run again after a transient failure, due after `delay`. Returns `false` and changes nothing if the lease
    /// is lost or cancellation was requested.
    async fn requeue(&self, lease: Lease, reason: &Failure, delay: Duration) -> StoreResult<bool>;

    /// Queues unfinished runs again at shutdown, due at once; the attempt does not count. Runs whose lease is lost or
    /// whose cancellation was requested stay as they are.
    async fn release(&self, leases: &[Lease]) -> StoreResult<()>;

    /// Takes back runs whose lease has ended: cancels them if that was requested, fails them if they are out of
    /// attempts, else queues them again. Returns their number.
    async fn reap(&self) -> StoreResult<usize>;

    /// Looks at the whole queue.
    async fn scan(&self) -> StoreResult<Scan>;
}
