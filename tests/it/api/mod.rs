//! The HTTP API, driven through the real router on the memory store.

mod access;
mod broken;
mod document;
mod events;
mod failures;
mod harness;
mod lists;
mod runs;
mod schema;
