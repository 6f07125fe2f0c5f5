//! `agentevals healthcheck`: asks a service whether it lives, for containers without a shell.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;

use super::EXIT_PASSED;

/// Ask the service on this machine whether it lives
///
/// Exits with 0 when it answers, and with 2 and the reason when it does not.
#[derive(Debug, Args)]
pub struct HealthcheckArguments {
    /// Address that the service listens on
    #[arg(long, env = "AGENTEVALS_HOST", default_value = "127.0.0.1", value_name = "ADDRESS")]
    host: IpAddr,
    /// Port that the service listens on
    #[arg(short, long, env = "AGENTEVALS_PORT", default_value_t = 8001, value_name = "PORT")]
    port: u16,
    /// Ask whether it can work too: whether storage answers
    #[arg(long)]
    ready: bool,
    /// Seconds to wait for the answer
    #[arg(long, default_value_t = 3, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=60))]
    timeout_s: u64,
}

/// Runs the command and returns the exit code.
pub(super) fn healthcheck(arguments: &HealthcheckArguments) -> anyhow::Result<u8> {
    let address = SocketAddr::new(reachable(arguments.host), arguments.port);
    let path = if arguments.ready { "/readyz" } else { "/livez" };
    let url = format!("http://{address}{path}");
    let timeout = Duration::from_secs(arguments.timeout_s);
    super::runtime()?.block_on(async {
        let client = reqwest::Client::builder().no_proxy().timeout(timeout).build();
        let answer = client.context("starting the HTTP client")?.get(&url).send().await;
        match answer.with_context(|| format!("asking {url}"))?.status() {
            status if status.is_success() => Ok(EXIT_PASSED),
            status => bail!("{url} answers {status}"),
        }
    })
}

/// The address at which a service that listens everywhere is reached from here.
fn reachable(host: IpAddr) -> IpAddr {
    match host {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ipv6Addr::LOCALHOST.into(),
        host => host,
    }
}
