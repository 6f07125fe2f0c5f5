//! The HTTP API, driven through the real router on the memory store.

mod access;
mod broken;
mod converting;
mod deliveries;
mod document;
mod evaluate;
mod events;
mod failures;
mod harness;
mod lists;
mod offer;
mod runs;
mod schema;
mod uploads;
