//! Connection strings: URLs and `key=value` pairs, as libpq reads them.
//!
//! The driver's own parser lacks some TLS modes, certificate and password files, and reads `tcp_user_timeout` in
//! seconds instead of milliseconds. So both forms are parsed here; options that the driver lacks are taken out and the
//! others handed to it. Each server of a list becomes a configuration of its own, with its own time limit and password.
//!
//! Errors name options, never values, since a value may be a piece of a badly quoted password.

mod error;
mod passfile;
mod text;

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use tokio_postgres::Config;
use tokio_postgres::config::Host;

pub use error::DsnError;
use text::{DEFAULT_PORT, Options};

use super::error::chain;
use super::tls::{SslMode, TlsSettings};

/// Default time limit for opening a connection to one server, from resolving its name to the end of authentication.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Our defaults. TCP probes an idle connection after two seconds, then twice, a second apart, so that a cut connection
/// is noticed in about four seconds.
const DEFAULTS: [(&str, &str); 4] = [
    ("application_name", "agentevals"),
    ("keepalives_idle", "2"),
    ("keepalives_interval", "1"),
    ("keepalives_retries", "2"),
];

/// Default time after which a connection with unacknowledged data counts as cut.
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(5);

/// Options of libpq without meaning here: there is one encoding, no compression and no Kerberos.
const IGNORED: [&str; 5] =
    ["client_encoding", "fallback_application_name", "gssencmode", "sslcompression", "sslsni"];

/// A checked connection string: the servers in the order in which they are tried, and the TLS settings.
#[derive(Debug, Clone)]
pub struct Dsn {
    pub(super) servers: Vec<Config>,
    pub(super) is_order_random: bool,
    pub(super) connect_timeout: Duration,
    pub(super) tls: TlsSettings,
}

impl Dsn {
    /// Parses a connection string. A missing password is looked up in its `passfile`, else in `default_passfile`.
    ///
    /// # Errors
    /// The first fault; the message shows no value of the string.
    pub fn parse(text: &str, default_passfile: Option<&Path>) -> Result<Self, DsnError> {
        let text = text.trim();
        let url = text.strip_prefix("postgres://").or_else(|| text.strip_prefix("postgresql://"));
        let mut options = match url {
            Some(rest) => text::parse_url(rest)?,
            None => text::parse_pairs(text)?,
        };
        for ignored in IGNORED {
            options.remove(ignored);
        }
        let tls = take_tls(&mut options)?;
        let connect_timeout = take_seconds(&mut options, "connect_timeout")?.unwrap_or(CONNECT_TIMEOUT);
        let is_order_random = options.remove("load_balance_hosts").is_some_and(|value| value == "random");
        let passfile = options.remove("passfile").map(PathBuf::from);
        let hosts = take_hosts(&mut options)?;
        let base = driver_config(options)?;
        let mut servers = Vec::with_capacity(hosts.len());
        for host in hosts {
            let mut server = host.configure(base.clone());
            if server.get_password().is_none() {
                let password = passfile::look_up(passfile.as_deref(), default_passfile, &server)?;
                password.map(|password| server.password(password));
            }
            servers.push(server);
        }
        Ok(Self { servers, is_order_random, connect_timeout, tls })
    }
}

impl FromStr for Dsn {
    type Err = DsnError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text, None)
    }
}

/// A server of the list.
struct Server {
    host: String,
    address: Option<IpAddr>,
    port: u16,
}

impl Server {
    fn configure(self, mut config: Config) -> Config {
        config.host(self.host).port(self.port);
        if let Some(address) = self.address {
            config.hostaddr(address);
        }
        // The driver refuses TLS over a Unix socket; libpq ignores the mode there.
        if matches!(config.get_hosts(), [Host::Unix(_)]) {
            config.ssl_mode(tokio_postgres::config::SslMode::Disable);
        }
        config
    }
}

fn take_tls(options: &mut Options) -> Result<TlsSettings, DsnError> {
    let mode = match options.remove("sslmode") {
        Some(mode) => Some(SslMode::parse(&mode).ok_or(DsnError::Value {
            option: "sslmode",
            expected: "disable, allow, prefer, require, verify-ca or verify-full",
        })?),
        None => None,
    };
    let root = options.remove("sslrootcert");
    let certificate = options.remove("sslcert").map(PathBuf::from);
    let key = options.remove("sslkey").map(PathBuf::from);
    let client = match (certificate, key) {
        (Some(certificate), Some(key)) => Some((certificate, key)),
        (None, None) => None,
        _ => return Err(DsnError::Syntax("options `sslcert` and `sslkey` need each other")),
    };
    if root.as_deref() != Some("system") {
        let mode = mode.unwrap_or(SslMode::Prefer);
        return Ok(TlsSettings { mode, root: root.map(PathBuf::from), client });
    }
    match mode.unwrap_or(SslMode::VerifyFull) {
        // Anyone can get a certificate from a public authority, so without a check of the name it proves nothing.
        SslMode::VerifyFull => Ok(TlsSettings { mode: SslMode::VerifyFull, root: None, client }),
        _ => Err(DsnError::Value { option: "sslmode", expected: "verify-full with `sslrootcert=system`" }),
    }
}

/// Takes an option in seconds; zero and negative numbers mean that it is not set.
fn take_seconds(options: &mut Options, option: &'static str) -> Result<Option<Duration>, DsnError> {
    let Some(value) = options.remove(option) else { return Ok(None) };
    let invalid = DsnError::Value { option, expected: "a whole number" };
    let seconds: i64 = value.parse().map_err(|_| invalid)?;
    Ok(u64::try_from(seconds).ok().filter(|seconds| *seconds > 0).map(Duration::from_secs))
}

/// Takes the servers from `host`, `hostaddr` and `port`; a single port applies to all hosts.
fn take_hosts(options: &mut Options) -> Result<Vec<Server>, DsnError> {
    let mut list = |name: &str| -> Vec<String> {
        let value = options.remove(name).unwrap_or_default();
        if value.is_empty() { Vec::new() } else { value.split(',').map(str::to_owned).collect() }
    };
    let (hosts, addresses, ports) = (list("host"), list("hostaddr"), list("port"));
    let count = hosts.len().max(addresses.len());
    if count == 0 || hosts.iter().any(String::is_empty) {
        return Err(DsnError::NoHost);
    }
    if !hosts.is_empty() && !addresses.is_empty() && hosts.len() != addresses.len() {
        return Err(DsnError::Value { option: "hostaddr", expected: "as long a list as `host`" });
    }
    if ports.len() > 1 && ports.len() != count {
        return Err(DsnError::Value { option: "port", expected: "one number, or one for each host" });
    }
    let server = |index: usize| {
        let address = addresses.get(index).map(|address| address.parse()).transpose();
        let port = ports.get(index).or(ports.first()).map_or(DEFAULT_PORT, String::as_str);
        Ok(Server {
            // Without a host name, the certificate has to be for the address.
            host: hosts.get(index).or(addresses.get(index)).cloned().unwrap_or_default(),
            address: address
                .map_err(|_| DsnError::Value { option: "hostaddr", expected: "an IP address" })?,
            port: port
                .parse()
                .map_err(|_| DsnError::Value { option: "port", expected: "a number up to 65535" })?,
        })
    };
    (0..count).map(server).collect()
}

/// The driver's configuration of everything but servers and TLS, with our defaults.
fn driver_config(mut options: Options) -> Result<Config, DsnError> {
    // libpq has `tcp_user_timeout` in milliseconds, the driver in seconds; the driver calls `keepalives_count`
    // `keepalives_retries`.
    let tcp_user_timeout =
        take_seconds(&mut options, "tcp_user_timeout")?.map(|thousandfold| thousandfold / 1000);
    if let Some(count) = options.remove("keepalives_count") {
        options.insert("keepalives_retries".to_owned(), count);
    }
    for (name, value) in DEFAULTS {
        options.entry(name.to_owned()).or_insert_with(|| value.to_owned());
    }
    let pairs = options.iter().map(|(name, value)| {
        let value = value.replace('\\', r"\\").replace('\'', r"\'");
        format!("{name}='{value}' ")
    });
    let mut config: Config =
        pairs.collect::<String>().parse().map_err(|error| DsnError::Driver(chain(&error)))?;
    config.tcp_user_timeout(tcp_user_timeout.unwrap_or(TCP_USER_TIMEOUT));
    Ok(config)
}

#[cfg(test)]
mod tests;
