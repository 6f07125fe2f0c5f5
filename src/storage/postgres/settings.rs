//! The settings of the database, checked.

use std::str::FromStr;
use std::time::Duration;

use super::Dsn;

/// The database of a process, and the limits of its use.
#[derive(Debug, Clone)]
pub struct DatabaseSettings {
    /// The server of the pool.
    pub dsn: Dsn,
    /// The server of the listener and of migrations, if the pool goes through a transaction pooler such as PgBouncer.
    ///
    /// A transaction pooler may send each statement to another session, and notifications, session locks and prepared
    /// statements do not survive that. So when this is set, the pool prepares nothing, and the listener and the
    /// migrator connect past the pooler.
    pub session_dsn: Option<Dsn>,
    /// The schema that holds our tables.
    pub schema: Schema,
    /// Longest wait at start for a database that is down or starting.
    pub connect_timeout: Duration,
    /// Longest wait of a statement for a connection; by default longer than a server needs to restart.
    pub checkout_timeout: Duration,
    /// Longest time for a statement; then it is cancelled and its connection dropped.
    pub command_timeout: Duration,
    /// Time between the listener's pings; an answer may take half as long.
    pub ping_interval: Duration,
    /// Longest wait of a migration for another one to finish.
    pub migrate_lock_timeout: Duration,
    /// Size of the pool.
    pub pool: PoolSize,
}

impl DatabaseSettings {
    /// The defaults for a database.
    pub fn new(dsn: Dsn) -> Self {
        Self {
            dsn,
            session_dsn: None,
            schema: Schema::default(),
            connect_timeout: Duration::from_secs(600),
            checkout_timeout: Duration::from_secs(10),
            command_timeout: Duration::from_secs(60),
            ping_interval: Duration::from_secs(10),
            migrate_lock_timeout: Duration::from_secs(60),
            pool: PoolSize::default(),
        }
    }

    /// The server for connections that keep state from statement to statement.
    pub(super) fn session_dsn(&self) -> &Dsn {
        self.session_dsn.as_ref().unwrap_or(&self.dsn)
    }
}

/// Size of the pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolSize {
    /// Idle connections that are kept open.
    pub min: u32,
    /// Most connections; at least one and at least `min`.
    pub max: u32,
}

impl PoolSize {
    /// The size for a process that executes this many runs at a time.
    pub fn for_runs(concurrent: u32) -> Self {
        Self { min: concurrent.max(2), max: concurrent.saturating_mul(2).saturating_add(4) }
    }
}

impl Default for PoolSize {
    fn default() -> Self {
        Self::for_runs(4)
    }
}

/// The name of the schema that holds our tables; `agentevals` by default.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schema(String);

/// A name that is not allowed for our schema.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no schema name; write up to {max} lower case letters, digits and `_`, with no digit and no `pg_` first",
    max = Schema::MAX_BYTES
)]
pub struct InvalidSchema(String);

impl Schema {
    /// The schema that the files in `sql/` name.
    pub const DEFAULT: &'static str = "agentevals";

    /// Names of channels begin with the schema's name, and PostgreSQL cuts names at 63 bytes.
    pub const MAX_BYTES: usize = 48;

    /// The name, not quoted.
    pub fn name(&self) -> &str {
        &self.0
    }

    /// The full name of a channel. Channels belong to the whole database, so it begins with the schema.
    pub fn channel(&self, name: &str) -> String {
        format!("{}:{name}", self.0)
    }
}

impl Default for Schema {
    fn default() -> Self {
        Self(Self::DEFAULT.to_owned())
    }
}

impl FromStr for Schema {
    type Err = InvalidSchema;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let is_word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        let is_free = !name.starts_with("pg_") && name != "information_schema";
        let starts_well = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_');
        if starts_well && is_free && name.len() <= Self::MAX_BYTES && name.chars().all(is_word) {
            Ok(Self(name.to_owned()))
        } else {
            Err(InvalidSchema(name.to_owned()))
        }
    }
}
