//! Options of storage.

use std::time::Duration;

use clap::{Args, ValueEnum};

use super::{DatabaseArguments, SchemaArguments, parse_age};
use crate::storage::postgres::DatabaseSettings;

/// The kind of storage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Backend {
    /// Memory of this process; runs are lost when it ends
    Memory,
    /// PostgreSQL, which many processes can share
    Postgres,
}

/// Options of storage.
#[derive(Debug, Args)]
#[command(next_help_heading = "Storage")]
pub struct StorageArguments {
    /// Storage for runs
    #[arg(
        long,
        env = "AGENTEVALS_STORAGE_BACKEND",
        default_value = "memory",
        value_name = "BACKEND",
        ignore_case = true
    )]
    storage: Backend,
    #[command(flatten)]
    database: DatabaseArguments,
    #[command(flatten)]
    schema: SchemaArguments,
    /// Age at which finished runs are deleted, as `30d`, `12h`, `90m` or `60s`; never if left out
    #[arg(long, env = "AGENTEVALS_RETENTION", value_parser = parse_age, value_name = "AGE")]
    retention: Option<Duration>,
}

impl StorageArguments {
    /// The kind of storage.
    pub fn backend(&self) -> Backend {
        self.storage
    }

    /// The settings of the database.
    ///
    /// # Errors
    /// As [`DatabaseArguments::settings`].
    pub fn database(&self) -> anyhow::Result<DatabaseSettings> {
        self.database.settings()
    }

    /// The age at which finished runs are deleted; `None` for never.
    pub fn retention(&self) -> Option<Duration> {
        self.retention
    }

    /// Whether to migrate the schema on start.
    pub fn auto_migrate(&self) -> bool {
        self.schema.auto_migrate()
    }
}
