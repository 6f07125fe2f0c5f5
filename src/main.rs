//! The `agentevals` program: parses arguments, dispatches, exits.

use std::process::ExitCode;

use agentevals::cli;
use clap::Parser;

fn main() -> ExitCode {
    let arguments = cli::Arguments::parse();
    arguments.start_logging();
    arguments.run().unwrap_or_else(|error| {
        eprintln!("error: {}", cli::one_line(&error));
        ExitCode::from(cli::EXIT_USAGE)
    })
}
