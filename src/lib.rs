//! Scores the behaviour of AI agents from OpenTelemetry traces that already exist.
//!
//! [`trace`] reads recordings, [`extraction`] turns them into [`invocation`]s, [`eval_set`] reads what was
//! expected of them, [`metrics`] compare the two, and [`evaluation`] is the one path through all of it.
//! [`reports`] print the outcome.
//! [`evaluators`] reaches evaluators outside this program, [`evaluation_events`] sends results to collectors,
//! [`storage`] reaches the database that keeps runs, [`net`] whatever a request names. [`config`] reads the
//! environment, [`cli`] is the command line. [`json`] is the value type that all of them share, `wire` has shapes of
//! members of what goes out. A module uses only those below it; `tests/it/architecture.rs` holds the map.

pub mod api;
pub mod cli;
pub mod config;
pub mod eval_set;
pub mod evaluation;
pub mod evaluation_events;
pub mod evaluators;
pub mod extraction;
pub mod ids;
pub mod invocation;
pub mod json;
pub mod metrics;
pub mod net;
pub mod reports;
pub mod runs;
pub mod shutdown;
pub mod storage;
pub mod trace;
mod wire;
