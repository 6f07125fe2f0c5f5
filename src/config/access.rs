//! Options of access control: tokens, origins and host names.

use std::net::IpAddr;
use std::path::PathBuf;

use anyhow::bail;
use clap::Args;
use tracing::warn;

use crate::api::access::{AccessSettings, Hosts, Origins, Tokens};

/// Options of access control.
#[derive(Debug, Args)]
#[command(next_help_heading = "Access")]
pub struct AccessArguments {
    /// File of the valid tokens, one line `NAME SCOPES DIGEST` for each, as `agentevals token` prints it; read again when
    /// it changes
    #[arg(long, env = "AGENTEVALS_TOKENS_FILE", value_name = "FILE")]
    tokens_file: Option<PathBuf>,
    /// Valid tokens, as in the file, separated by line ends or `;`
    #[arg(long, env = "AGENTEVALS_TOKENS", hide_env_values = true, value_name = "LINES")]
    tokens: Option<String>,
    /// Listen beyond this machine without tokens: anyone who reaches the port may then do anything
    #[arg(long, env = "AGENTEVALS_INSECURE_NO_AUTH", value_parser = clap::builder::BoolishValueParser::new(),
        action = clap::ArgAction::Set, num_args = 0..=1, default_missing_value = "true", default_value = "false",
        value_name = "BOOL")]
    insecure_no_auth: bool,
    /// Origins whose pages may use the API from a browser, separated by commas
    #[arg(long, env = "AGENTEVALS_CORS_ORIGINS", default_value = Origins::DEFAULT, value_name = "ORIGINS")]
    cors_origins: Origins,
    /// Names of this machine besides `localhost`, separated by commas; a server without tokens refuses requests to other
    /// names
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
    /// The rules of access control for a server that listens on `host`.
    ///
    /// # Errors
    /// Tokens cannot be read; or there are none, although other machines can reach `host` and `--insecure-no-auth` is not
    /// given.
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
        // On other addresses the machine has names that only --allowed-hosts can tell; without it all are accepted.
        let are_known = host.is_loopback() || self.allowed_hosts != Hosts::default();
        let hosts = (is_open && are_known).then(|| self.allowed_hosts.clone());
        Ok(AccessSettings { tokens, origins: self.cors_origins.clone(), hosts })
    }
}
