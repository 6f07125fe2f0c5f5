//! Where runs are kept.

use clap::{Args, ValueEnum};

use super::{DatabaseArguments, SchemaArguments};
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

    /// Whether a start brings the schema up to date.
    pub fn auto_migrate(&self) -> bool {
        self.schema.auto_migrate()
    }
}
