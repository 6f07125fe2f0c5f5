//! Who executes which run, and for how long.
//!
//! The worker of a process ([`work()`]) consists of tasks that share a table of active runs: `claimer` asks for as many
//! runs as there are free slots and reaps lost leases, `attempt` runs each in a task of its own, `heartbeat` extends
//! all leases and learns of cancellations, `writer` stores results and endings in groups. [`Executor`] is what an
//! attempt does; [`Evaluation`] is the real one.
//!
//! Storage decides everything through the port [`Queue`]: a worker that has lost a lease can write nothing.

mod active;
mod attempt;
mod claimer;
mod execution;
mod heartbeat;
mod model;
mod port;
mod work;
mod writer;

pub use active::WorkerSettings;
pub use execution::{Evaluation, ExecutedRun, ExecutionError, Executor, Resources, UnitResults};
pub use model::{Claimed, Lease, Record};
pub use port::{Held, LEASE_LOST, Queue, SHUTDOWN, Scan};
pub use work::work;
