//! The port to storage: runs that wait for a worker, and runs that one holds.

use std::time::Duration;

use async_trait::async_trait;

use super::model::{Claimed, Lease, Record};
use crate::runs::{Failure, StoreResult};

/// Code and text of the failure of a run whose worker went silent.
pub const LEASE_LOST: (&str, &str) = ("lease_lost", "its worker stopped responding");

/// Code and text of the reason for which a run was given back unfinished.
pub const SHUTDOWN: (&str, &str) = ("shutdown", "its worker is shutting down");

/// What a look at the whole queue found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Scan {
    /// Whether a run can be claimed now.
    pub has_due: bool,
    /// Whether a lease has ended without its run.
    pub has_lost: bool,
    /// When the next lease ends or the next back-off is over.
    pub next_due: Option<Duration>,
}

/// A run that a worker still holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// The claim.
    pub lease: Lease,
    /// Whether somebody asked for the run to be stopped.
    pub cancel_requested: bool,
}

/// Storage for the queue.
///
/// Times are the storage's own clock. Every write of a worker names its lease and does nothing when the lease is not
/// held any more; the answer says so.
#[async_trait]
pub trait Queue: Send + Sync {
    /// Claims the most urgent due runs, by priority then age, each under a new lease.
    async fn claim(&self, worker: &str, limit: usize, lease: Duration) -> StoreResult<Vec<Claimed>>;

    /// Extends leases; answers with those still held.
    async fn heartbeat(&self, leases: &[Lease], lease: Duration) -> StoreResult<Vec<Held>>;

    /// Writes results, progress, endings and messages to sinks together, at most one record per run; answers in the
    /// order given whether each was still held. When an attempt ends, results of earlier ones are gone.
    async fn record(&self, records: &[Record]) -> StoreResult<Vec<bool>>;

    /// Gives a run back after a failure that may pass, to be claimed after `delay`; answers whether it was held
    /// and nobody had asked for it to be stopped.
    async fn requeue(&self, lease: Lease, reason: &Failure, delay: Duration) -> StoreResult<bool>;

    /// Gives runs back that were not finished, to be claimed at once; the attempt does not count.
    async fn release(&self, leases: &[Lease]) -> StoreResult<()>;

    /// Takes back runs whose lease ended: cancelled if that was asked for, failed if out of attempts, else queued
    /// again. Answers how many.
    async fn reap(&self) -> StoreResult<usize>;

    /// Looks at the whole queue.
    async fn scan(&self) -> StoreResult<Scan>;
}
