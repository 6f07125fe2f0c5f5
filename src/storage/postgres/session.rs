//! Opens connections for the pool, the listener and the migrator.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};
use tokio_postgres::config::{Config, Host, SslMode as DriverMode};
use tokio_postgres::error::SqlState;
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{Client, Connection, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;
use tracing::{debug, info, warn};

use super::error::{self, DatabaseError};
use super::{Dsn, SslMode};
use crate::pace::Pace;

/// First pause between two attempts to connect; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// Longest pause, so that a database is found soon after it is back.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// The half of a connection that does its input and output; it works only while it is polled.
pub(super) type Driver = Connection<Socket, <MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream>;

/// Opens connections to the servers of a connection string.
#[derive(Clone)]
pub(super) struct Connector {
    dsn: Dsn,
    tls: MakeRustlsConnect,
}

impl Connector {
    /// Reads the certificates that the connection string names.
    ///
    /// # Errors
    /// `Other` if a certificate cannot be used.
    pub(super) fn new(dsn: &Dsn) -> Result<Self, DatabaseError> {
        Ok(Self { dsn: dsn.clone(), tls: dsn.tls.connector()? })
    }

    pub(super) fn tls(&self) -> MakeRustlsConnect {
        self.tls.clone()
    }

    /// Opens a connection to the first server that grants one.
    ///
    /// # Errors
    /// The last failure; a transient one takes precedence, since then the caller may try again.
    pub(super) async fn open(&self) -> Result<(Client, Driver), DatabaseError> {
        let mut servers: Vec<_> = self.dsn.servers.iter().collect();
        if self.dsn.is_order_random {
            fastrand::shuffle(&mut servers);
        }
        let mut failure = None;
        for server in servers {
            match self.open_one(server).await {
                Ok(opened) => return Ok(opened),
                Err(error) if failure.as_ref().is_some_and(DatabaseError::is_transient) => {
                    debug!("{error}");
                }
                Err(error) => failure = Some(error),
            }
        }
        Err(failure.unwrap_or_else(|| DatabaseError::Unavailable("no server is configured".into())))
    }

    /// Like [`Self::open`], but tries again for `patience` while failures are transient.
    ///
    /// # Errors
    /// The last transient failure after `patience`; another failure, such as a wrong password, at once.
    pub(super) async fn open_patiently(&self, patience: Duration) -> Result<(Client, Driver), DatabaseError> {
        let started = Instant::now();
        let mut pace = Pace::new(FIRST_PAUSE, LONGEST_PAUSE);
        loop {
            let failure = match self.open().await {
                Err(error) if error.is_transient() => error,
                outcome => {
                    if outcome.is_ok() && pace.succeeded() {
                        info!("connected to the database");
                    }
                    return outcome;
                }
            };
            let left = patience.saturating_sub(started.elapsed());
            if left.is_zero() {
                return Err(failure);
            }
            if pace.failed() {
                warn!("waiting up to {patience:.0?} for the database: {failure}");
            }
            sleep(pace.pause().min(left)).await;
        }
    }

    /// Opens a connection to one server, with or without TLS as its mode says; `allow` and `prefer` try both.
    async fn open_one(&self, server: &Config) -> Result<(Client, Driver), DatabaseError> {
        let is_local = matches!(server.get_hosts(), [Host::Unix(_)]);
        let modes: &[DriverMode] = match self.dsn.tls.mode {
            _ if is_local => &[DriverMode::Disable], // there is no TLS over a Unix socket
            SslMode::Disable => &[DriverMode::Disable],
            SslMode::Allow => &[DriverMode::Disable, DriverMode::Require],
            SslMode::Prefer => &[DriverMode::Prefer, DriverMode::Disable],
            SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull => &[DriverMode::Require],
        };
        let mut config = server.clone();
        let mut modes = modes.iter();
        loop {
            let Some(mode) = modes.next() else {
                return Err(DatabaseError::Unavailable("no way to connect is left".into()));
            };
            config.ssl_mode(*mode);
            let opening = timeout(self.dsn.connect_timeout, config.connect(self.tls.clone()));
            let error = match opening.await {
                Ok(Ok(opened)) => return Ok(opened),
                Ok(Err(error)) => error,
                Err(_) => return Err(DatabaseError::Unavailable(self.no_answer(server))),
            };
            if modes.len() == 0 || !is_about_encryption(&error) {
                return Err(named(error, server));
            }
        }
    }

    fn no_answer(&self, server: &Config) -> String {
        format!("{} did not answer within {} s", address(server), self.dsn.connect_timeout.as_secs())
    }
}

/// Whether a connection may succeed with the other choice of TLS or no TLS: the handshake failed, or `pg_hba.conf`
/// refused.
fn is_about_encryption(error: &tokio_postgres::Error) -> bool {
    let source = std::error::Error::source(error);
    let cause = source.and_then(|source| source.downcast_ref::<std::io::Error>());
    error.code() == Some(&SqlState::INVALID_AUTHORIZATION_SPECIFICATION)
        || cause.is_some_and(error::is_tls_fault)
}

/// Adds the server's address to a failure.
fn named(error: tokio_postgres::Error, server: &Config) -> DatabaseError {
    match DatabaseError::from(error) {
        DatabaseError::Unavailable(text) => {
            DatabaseError::Unavailable(format!("{}: {text}", address(server)))
        }
        DatabaseError::Denied(text) => DatabaseError::Denied(format!("{}: {text}", address(server))),
        DatabaseError::Other(error) => DatabaseError::Other(error.context(address(server))),
        conflict @ DatabaseError::Conflict { .. } => conflict,
    }
}

/// Host and port, for people.
fn address(server: &Config) -> String {
    let host = match server.get_hosts().first() {
        Some(Host::Tcp(host)) => host.clone(),
        Some(Host::Unix(folder)) => folder.display().to_string(),
        None => "?".to_owned(),
    };
    match server.get_ports().first() {
        Some(port) => format!("{host}:{port}"),
        None => host,
    }
}
