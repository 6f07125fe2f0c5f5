//! Where runs are kept.

use std::time::Duration;

use clap::{Args, ValueEnum};

use super::{DatabaseArguments, SchemaArguments, parse_age};
use crate::storage::postgres::DatabaseSettings;

/// Where runs are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Backend {
    /// In this process; nothing survives it
    Memory,
    /// In PostgreSQL, shared by many processes
    Postgres,
}

/// Where runs are kept.
#[derive(Debug, Args)]
pub struct StorageArguments {
    /// Where runs are kept
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
    /// How long finished runs are kept, as `30d`, `12h`, `90m` or `60s`; for ever if left out
    #[arg(long, env = "AGENTEVALS_RETENTION", value_parser = parse_age, value_name = "AGE")]
    retention: Option<Duration>,
}

impl StorageArguments {
    /// The backend.
    pub fn backend(&self) -> Backend {
        self.storage
    }

    /// Where the database is.
    ///
    /// # Errors
    /// As [`DatabaseArguments::settings`].
    pub fn database(&self) -> anyhow::Result<DatabaseSettings> {
        self.database.settings()
    }

    /// How long finished runs are kept; `None` for ever.
    pub fn retention(&self) -> Option<Duration> {
        self.retention
    }

    /// Whether a start brings the schema up to date.
    pub fn auto_migrate(&self) -> bool {
        self.schema.auto_migrate()
    }
}
