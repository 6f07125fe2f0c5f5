//! `agentevals healthcheck`: asks a service whether it lives, for containers without a shell.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::Args;

use super::EXIT_PASSED;

/// More than any status line has.
const MAX_STATUS_BYTES: usize = 1024;

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
    let timeout = Duration::from_secs(arguments.timeout_s);
    let status = ask(address, path, timeout).with_context(|| format!("asking http://{address}{path}"))?;
    match status.split(' ').nth(1) {
        Some("200") => Ok(EXIT_PASSED),
        _ => bail!("http://{address}{path} answers `{}`", status.trim_end()),
    }
}

/// Sends a request and answers with the status line, which is all that is read, within `timeout` in all.
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

/// The address at which a service that listens everywhere is reached from here.
fn reachable(host: IpAddr) -> IpAddr {
    match host {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ipv6Addr::LOCALHOST.into(),
        host => host,
    }
}
