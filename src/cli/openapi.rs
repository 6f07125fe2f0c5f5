//! `agentevals openapi`: prints the document of the HTTP API.

use super::exit_code::EXIT_PASSED;
use super::output::print_lines;
use crate::api;

/// Runs the command and returns the exit code.
pub(super) fn openapi() -> anyhow::Result<u8> {
    let lines: Vec<_> = api::openapi_document().lines().map(str::to_owned).collect();
    print_lines(&lines)?;
    Ok(EXIT_PASSED)
}
