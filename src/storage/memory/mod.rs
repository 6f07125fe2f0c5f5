//! Everything in memory: nothing to install, the whole API works, nothing survives the process.
//!
//! Bounded: the oldest finished runs are forgotten when there are too many; when all are unfinished, submissions are
//! refused. `state` is what is kept, with the changes that keep it whole; each port has a file of its own.

mod events;
mod limits;
mod outbox;
mod queue;
mod retention;
mod runs;
mod state;
mod store;
mod uploads;

pub use limits::MemoryLimits;
pub use store::MemoryStore;
