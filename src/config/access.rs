//! Who is let in.

use std::net::IpAddr;
use std::path::PathBuf;

use anyhow::bail;
use clap::Args;
use tracing::warn;

use crate::api::access::{AccessSettings, Hosts, Origins, Tokens};

/// Who is let in.
#[derive(Debug, Args)]
#[command(next_help_heading = "Access")]
pub struct AccessArguments {
    /// File with the tokens that clients may show, one `NAME SCOPES DIGEST` a line, as `agentevals token` prints them;
    /// read again when it changes
    #[arg(long, env = "AGENTEVALS_TOKENS_FILE", value_name = "FILE")]
    tokens_file: Option<PathBuf>,
    /// The same lines, separated by line ends or `;`
    #[arg(long, env = "AGENTEVALS_TOKENS", hide_env_values = true, value_name = "LINES")]
    tokens: Option<String>,
    /// Listen beyond this machine without tokens, although anyone who reaches the port may do anything
    #[arg(long, env = "AGENTEVALS_INSECURE_NO_AUTH", value_parser = clap::builder::BoolishValueParser::new(),
        action = clap::ArgAction::Set, num_args = 0..=1, default_missing_value = "true", default_value = "false",
        value_name = "BOOL")]
    insecure_no_auth: bool,
    /// Origins of the pages that may use the API from a browser, separated by commas
    #[arg(long, env = "AGENTEVALS_CORS_ORIGINS", default_value = Origins::DEFAULT, value_name = "ORIGINS")]
    cors_origins: Origins,
    /// Names of this machine besides `localhost`, separated by commas: without tokens, requests that are addressed to
    /// others are refused
    #[arg(
        long,
        env = "AGENTEVALS_ALLOWED_HOSTS",
        default_value = "",
        hide_default_value = true,
        value_name = "HOSTS"
    )]
    allowed_hosts: Hosts,
}

impl AccessArguments {
    /// Who is let in by a server that listens at an address.
    ///
    /// # Errors
    /// Tokens cannot be read; or there are none, the address can be reached from other machines, and nothing was said
    /// about that.
    pub fn settings(&self, host: IpAddr) -> anyhow::Result<AccessSettings> {
        let file = self.tokens_file.clone().filter(|file| !file.as_os_str().is_empty());
        let tokens = Tokens::load(file, self.tokens.as_deref())?;
        let is_open = !tokens.are_required();
        if is_open && !host.is_loopback() {
            if !self.insecure_no_auth {
                bail!(
                    "--host {host} lets other machines in, and there are no tokens; make one with `agentevals token` and \
                     name it in --tokens-file, listen on 127.0.0.1, or say --insecure-no-auth"
                );
            }
            warn!("there are no tokens: anyone who reaches {host} may do anything");
        }
        // Other addresses have names that nobody told us, unless somebody did.
        let are_known = host.is_loopback() || self.allowed_hosts != Hosts::default();
        let hosts = (is_open && are_known).then(|| self.allowed_hosts.clone());
        Ok(AccessSettings { tokens, origins: self.cors_origins.clone(), hosts })
    }
}
