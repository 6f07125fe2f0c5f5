//! Integration tests: the library as a whole, and the program as users run it.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod api;
mod architecture;
mod cli;
mod credentials;
mod database;
mod deletion;
mod docs;
mod evaluators;
mod events;
mod execution;
mod faults;
mod fetching;
mod golden;
mod hostile;
mod migrations;
mod net;
mod reading;
mod replay;
mod sending;
mod sinks;
mod sql;
mod store;
mod submission;
mod support;
mod trust;
mod watching;
mod worker;
