//! Arguments and environment to checked settings. No other module reads the environment.
//!
//! Commands flatten the groups of arguments that they need. A flag takes precedence over its environment variable, and
//! that over the default.

mod access;
mod credentials;
mod database;
mod durations;
mod folders;
mod keys;
mod outbound;
mod server;
mod sinks;
mod storage;
mod worker;

pub use access::AccessArguments;
pub use credentials::CredentialArguments;
pub use database::{DatabaseArguments, SchemaArguments};
pub use keys::api_keys;
pub use outbound::OutboundArguments;
pub use server::{LogArguments, ServerArguments, SubmissionArguments};
pub use sinks::SinkArguments;
pub use storage::{Backend, StorageArguments};
pub use worker::WorkerArguments;

use durations::{parse_a_second_or_more, parse_age, parse_seconds, parse_whole_seconds};
use folders::folder;
