//! Scores the behaviour of AI agents from OpenTelemetry traces that already exist.
//!
//! The modules stand on floors; each uses only those below it, and `tests/it/architecture.rs` holds the map.
//!
//! - The command line: [`cli`] has a file per command, [`config`] turns flags and environment into checked settings.
//! - The edges: [`api`] is the HTTP API, [`storage`] keeps everything in memory or in PostgreSQL.
//! - Runs: [`spec`] reads the specifications of runs, [`runs`] has the runs and their events; [`queue`] executes them,
//!   [`outbox`] sends their results to sinks, [`uploads`] evaluates traces while their sender waits.
//! - The world outside: [`sources`] fetches traces, [`credentials`] looks secrets up, [`evaluators`] runs programs,
//!   [`otel_export`] sends results to collectors, [`net`] guards every outbound call.
//! - The core, which does no input or output: [`trace`] reads recordings, [`extraction`] turns them into
//!   [`invocation`]s, [`eval_set`] reads goldens, [`metrics`] compare the two, [`evaluation`] is the one path through
//!   all of it, [`reports`] print the outcome.
//! - Leaves: [`json`], `schema` (members of documents that OpenAPI describes), `batch` (group commit), `pace`
//!   (retries), [`shutdown`], [`ids`], `names`.

pub mod api;
mod batch;
pub mod cli;
pub mod config;
pub mod credentials;
pub mod eval_set;
pub mod evaluation;
pub mod evaluators;
pub mod extraction;
pub mod ids;
pub mod invocation;
pub mod json;
pub mod metrics;
pub mod names;
pub mod net;
pub mod otel_export;
pub mod outbox;
mod pace;
pub mod queue;
pub mod reports;
pub mod runs;
mod schema;
pub mod shutdown;
pub mod sources;
pub mod spec;
pub mod storage;
pub mod trace;
pub mod uploads;
