//! The command line: arguments to settings, settings to work, results to text and exit codes.
//!
//! One file per command, or a folder where it takes more; `arguments` dispatches to them.

mod arguments;
mod exit_code;
mod healthcheck;
mod inputs;
mod migrate;
mod openapi;
mod output;
mod run;
mod runtime;
mod serve;
mod service;
mod token;
mod validate;
mod worker;

pub use arguments::Arguments;
pub use exit_code::{EXIT_ERRORED, EXIT_FAILED, EXIT_INTERRUPTED, EXIT_PASSED, EXIT_USAGE};
pub use healthcheck::HealthcheckArguments;
pub use migrate::MigrateArguments;
pub use output::one_line;
pub use run::RunArguments;
pub use serve::ServeArguments;
pub use token::TokenArguments;
pub use validate::ValidateArguments;
pub use worker::WorkArguments;
