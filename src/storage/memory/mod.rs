//! Storage in memory: nothing to install, the whole API works, nothing survives the process.
//!
//! Its size is bounded: when there are too many runs, the oldest finished ones are deleted; when all are unfinished,
//! submissions are refused. `state` has the data and the changes that keep it consistent; each port has a file of its
//! own.

mod events;
mod finished;
mod limits;
mod outbox;
mod queue;
mod retention;
mod runs;
mod state;
mod store;

pub use limits::MemoryLimits;
pub use store::MemoryStore;
