//! The command line: arguments to settings, settings to work, results to text and exit codes.

mod events;
mod inputs;
mod migrate;
mod openapi;
mod output;
mod run;
mod serve;
mod service;
mod settings;
mod token;
mod validate;
mod worker;

use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Parser, Subcommand};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

pub use migrate::MigrateArguments;
pub use run::RunArguments;
pub use serve::ServeArguments;
pub use token::TokenArguments;
pub use validate::ValidateArguments;
pub use worker::WorkArguments;

/// Evaluated and passed.
pub const EXIT_PASSED: u8 = 0;
/// Evaluated and not passed.
pub const EXIT_FAILED: u8 = 1;
/// Bad usage, input or configuration.
pub const EXIT_USAGE: u8 = 2;
/// Could not be evaluated.
pub const EXIT_ERRORED: u8 = 3;
/// Interrupted by a signal.
pub const EXIT_INTERRUPTED: u8 = 130;

/// Scores the behaviour of AI agents from OpenTelemetry traces that already exist.
#[derive(Debug, Parser)]
#[command(version, propagate_version = true, max_term_width = 100)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    verbosity: Verbosity,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(Box<RunArguments>),
    Validate(ValidateArguments),
    Serve(Box<ServeArguments>),
    Worker(Box<WorkArguments>),
    Migrate(Box<MigrateArguments>),
    Token(TokenArguments),
    /// Print the OpenAPI document of the HTTP API
    Openapi,
}

#[derive(Debug, Args)]
struct Verbosity {
    /// Log more to standard error: -v for information, -vv for debugging
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
}

impl Arguments {
    /// Sends log lines to standard error, as many as asked for; those of a service carry the time.
    pub fn start_logging(&self) {
        let asked = match self.verbosity.verbose {
            0 => LevelFilter::WARN,
            1 => LevelFilter::INFO,
            _ => LevelFilter::DEBUG,
        };
        let service = match &self.command {
            Command::Serve(arguments) => Some(arguments.log.level()),
            Command::Worker(arguments) => Some(arguments.log.level()),
            _ => None,
        };
        // Of the libraries' lines only those that call for action: ours say the rest.
        let level = service.map_or(asked, |level| level.max(asked));
        let filter =
            Targets::new().with_default(level.min(LevelFilter::WARN)).with_target("agentevals", level);
        let lines = tracing_subscriber::fmt::layer()
            .with_writer(std::io::stderr)
            .with_ansi(console::colors_enabled_stderr())
            .with_target(false);
        let registry = tracing_subscriber::registry();
        match service {
            Some(_) => registry.with(lines.with_filter(filter)).init(),
            None => registry.with(lines.without_time().with_filter(filter)).init(),
        }
    }

    /// Does what was asked and says how the process should exit.
    ///
    /// # Errors
    /// Bad usage, input or configuration, with its cause and remedy.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        match self.command {
            Command::Run(arguments) => run::run(&arguments),
            Command::Validate(arguments) => validate::validate(&arguments),
            Command::Serve(arguments) => serve::serve(&arguments),
            Command::Worker(arguments) => worker::work(&arguments),
            Command::Migrate(arguments) => migrate::migrate(&arguments),
            Command::Token(arguments) => token::token(&arguments),
            Command::Openapi => openapi::openapi(),
        }
        .map(ExitCode::from)
    }
}

/// A runtime for a command that waits for little at a time.
fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().context("starting the runtime")
}

/// An error with its causes, on one line and without control characters.
pub fn one_line(error: &anyhow::Error) -> String {
    output::printable(&format!("{error:#}")).into_owned()
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_tree_is_consistent() {
        super::Arguments::command().debug_assert();
    }
}
