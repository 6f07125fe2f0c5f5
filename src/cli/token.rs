//! `agentevals token`: makes a token for a client of the API.

use std::io::IsTerminal;

use anyhow::Context;
use clap::Args;

use super::exit_code::EXIT_PASSED;
use super::output::print_lines;
use crate::api::access::{Scope, Token, is_name, mint};

/// Make a token for a client of the HTTP API
///
/// Prints two lines. The first is the token: give it to the client, it is stored nowhere. The second has its digest:
/// add it to the file of `agentevals serve --tokens-file`, or to the variable `AGENTEVALS_TOKENS`.
#[derive(Debug, Args)]
pub struct TokenArguments {
    /// Name of the token, shown in the server's log
    #[arg(value_parser = parse_name)]
    name: String,
    /// Scope of the token: runs:read, runs:write, or admin for everything; may be repeated
    #[arg(long = "scope", required = true, value_name = "SCOPE")]
    scopes: Vec<Scope>,
}

fn parse_name(name: &str) -> Result<String, &'static str> {
    match is_name(name) {
        true => Ok(name.to_owned()),
        false => Err("a name has 1 to 64 letters, digits, `.`, `_` and `-`, and does not begin as tokens do"),
    }
}

/// Runs the command and returns the exit code.
pub(super) fn token(arguments: &TokenArguments) -> anyhow::Result<u8> {
    let token = mint().context("making a token")?;
    let known = Token::new(&arguments.name, arguments.scopes.clone(), &token);
    print_lines(&[token, known.to_string()])?;
    if std::io::stdout().is_terminal() {
        eprintln!(
            "The first line is the token, shown only now; the second is for the server's file of tokens."
        );
    }
    Ok(EXIT_PASSED)
}
