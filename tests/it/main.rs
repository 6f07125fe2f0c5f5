//! Integration tests: the library as a whole, and the program as users run it.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod api;
mod architecture;
mod cli;
mod database;
mod deletion;
mod evaluators;
mod events;
mod execution;
mod faults;
mod golden;
mod hostile;
mod migrations;
mod reading;
mod readme;
mod sql;
mod store;
mod submission;
mod support;
mod watching;
mod worker;
