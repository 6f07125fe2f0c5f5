//! The queue: claims runs under leases, executes them, writes how they end, and reaps lost leases.
//!
//! The worker of a process ([`work()`]) consists of tasks that share a table of active runs: `claimer` claims as many
//! runs as there are free slots and reaps lost leases, `attempt` executes each run in a task of its own, `heartbeat`
//! extends all leases and learns of cancellations, `writer` stores results and endings in groups. Attempts execute runs
//! through the port [`Executor`], which [`Evaluation`] implements.
//!
//! Storage fences every write through the port [`Queue`]: a worker that has lost a lease can write nothing.

mod active;
mod attempt;
mod claimer;
mod execution;
mod heartbeat;
mod model;
mod port;
mod unsaved;
mod work;
mod writer;

pub use active::WorkerSettings;
pub use execution::{Evaluation, ExecutedRun, ExecutionError, Executor, Resources, UnitResults};
pub use model::{Claimed, Lease, PreparedRecord, Record};
pub use port::{Held, LEASE_LOST, Queue, SHUTDOWN, Scan};
pub use work::work;
