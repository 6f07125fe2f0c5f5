//! `agentevals healthcheck`: probes a service on this machine, for containers without a shell.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::Args;

use super::exit_code::EXIT_PASSED;

/// Longest status line that is read.
const MAX_STATUS_BYTES: usize = 1024;

/// Check whether the service on this machine is alive
///
/// Exit code: 0 when it answers 200, 2 when it does not, with the reason on standard error.
#[derive(Debug, Args)]
pub struct HealthcheckArguments {
    /// Address that the service listens on
    #[arg(long, env = "AGENTEVALS_HOST", default_value = "127.0.0.1", value_name = "ADDRESS")]
    host: IpAddr,
    /// Port that the service listens on
    #[arg(short, long, env = "AGENTEVALS_PORT", default_value_t = 8001, value_name = "PORT")]
    port: u16,
    /// Check also whether it can work, which needs its storage
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
    let timeout = Duration::from_secs(arguments.timeout_s);
    let status = ask(address, path, timeout).with_context(|| format!("asking http://{address}{path}"))?;
    match status.split(' ').nth(1) {
        Some("200") => Ok(EXIT_PASSED),
        _ => bail!("http://{address}{path} answers `{}`", status.trim_end()),
    }
}

/// Sends a GET request and returns the status line; the rest of the answer is not read. `timeout` is for all of it.
fn ask(address: SocketAddr, path: &str, timeout: Duration) -> io::Result<String> {
    let end = Instant::now() + timeout;
    let mut stream = TcpStream::connect_timeout(&address, timeout)?;
    stream.set_write_timeout(Some(timeout))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let (mut answer, mut part) = (Vec::new(), [0; 64]);
    while !answer.contains(&b'\n') && answer.len() < MAX_STATUS_BYTES {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut part)? {
            0 => break,
            read => answer.extend_from_slice(&part[..read]),
        }
    }
    let status = answer.split(|byte| *byte == b'\n').next().unwrap_or_default();
    Ok(String::from_utf8_lossy(status).into_owned())
}

/// Replaces the address of a service that listens on all interfaces by the loopback address.
fn reachable(host: IpAddr) -> IpAddr {
    match host {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ipv6Addr::LOCALHOST.into(),
        host => host,
    }
}
