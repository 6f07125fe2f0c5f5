//! The tree of commands, logging, and dispatch.

use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use super::healthcheck::{HealthcheckArguments, healthcheck};
use super::migrate::{MigrateArguments, migrate};
use super::openapi::openapi;
use super::run::{RunArguments, run};
use super::serve::{ServeArguments, serve};
use super::token::{TokenArguments, token};
use super::validate::{ValidateArguments, validate};
use super::worker::{WorkArguments, work};

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
    Healthcheck(HealthcheckArguments),
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
        // Lines of libraries are limited to warnings: at `info` they would drown ours.
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

    /// Runs the command and returns the exit code of the process.
    ///
    /// # Errors
    /// Bad usage, input or configuration, with its cause and remedy.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        match self.command {
            Command::Run(arguments) => run(&arguments),
            Command::Validate(arguments) => validate(&arguments),
            Command::Serve(arguments) => serve(&arguments),
            Command::Worker(arguments) => work(&arguments),
            Command::Migrate(arguments) => migrate(&arguments),
            Command::Healthcheck(arguments) => healthcheck(&arguments),
            Command::Token(arguments) => token(&arguments),
            Command::Openapi => openapi(),
        }
        .map(ExitCode::from)
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_tree_is_consistent() {
        super::Arguments::command().debug_assert();
    }
}
