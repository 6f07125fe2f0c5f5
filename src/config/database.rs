//! Options of the database: its address, and whether services migrate it.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use clap::builder::BoolishValueParser;
use tracing::warn;

use super::parse_seconds;
use crate::storage::postgres::{DatabaseSettings, Dsn, Schema};

/// Default of how long a start waits for the database: longer than any restart or failover.
const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(600);

/// Options of the connection to the database.
#[derive(Debug, Args)]
#[command(next_help_heading = "Database")]
pub struct DatabaseArguments {
    /// PostgreSQL database, as postgres://USER:PASSWORD@HOST/DATABASE or as key=value pairs
    #[arg(long, env = "AGENTEVALS_DATABASE_URL", hide_env_values = true, value_name = "URL", global = true)]
    database_url: Option<Secret>,
    /// File with the URL; takes precedence over --database-url
    #[arg(long, env = "AGENTEVALS_DATABASE_URL_FILE", value_name = "FILE", global = true)]
    database_url_file: Option<PathBuf>,
    /// Direct URL of the server, if --database-url leads to a pooler in transaction mode such as PgBouncer
    #[arg(
        long,
        env = "AGENTEVALS_DATABASE_LISTEN_URL",
        hide_env_values = true,
        value_name = "URL",
        global = true
    )]
    database_listen_url: Option<Secret>,
    /// File with that URL; takes precedence over --database-listen-url
    #[arg(long, env = "AGENTEVALS_DATABASE_LISTEN_URL_FILE", value_name = "FILE", global = true)]
    database_listen_url_file: Option<PathBuf>,
    /// Password file for URLs without a password [default: ~/.pgpass]
    #[arg(long, env = "PGPASSFILE", value_name = "FILE", global = true)]
    database_passfile: Option<PathBuf>,
    /// Schema that holds the tables
    #[arg(
        long,
        env = "AGENTEVALS_DATABASE_SCHEMA",
        default_value = Schema::DEFAULT,
        value_name = "NAME",
        global = true
    )]
    database_schema: Schema,
    /// Seconds to wait for a database that is down or starting
    #[arg(
        long,
        env = "AGENTEVALS_DB_CONNECT_TIMEOUT_S",
        default_value = "600",
        value_name = "SECONDS",
        global = true
    )]
    database_connect_timeout_s: String,
    /// Seconds to wait for another migration to finish
    #[arg(
        long,
        env = "AGENTEVALS_MIGRATE_LOCK_TIMEOUT",
        default_value = "60",
        value_parser = parse_seconds,
        value_name = "SECONDS",
        global = true
    )]
    migrate_lock_timeout: Duration,
}

/// Whether services migrate the schema.
#[derive(Debug, Args)]
#[command(next_help_heading = "Database")]
pub struct SchemaArguments {
    /// Migrate the schema on start; with `false`, only check that it is up to date
    #[arg(
        long,
        env = "AGENTEVALS_AUTO_MIGRATE",
        default_value = "true",
        value_parser = BoolishValueParser::new(),
        action = clap::ArgAction::Set,
        value_name = "BOOL"
    )]
    auto_migrate: bool,
}

impl SchemaArguments {
    /// Whether to migrate the schema on start.
    pub fn auto_migrate(&self) -> bool {
        self.auto_migrate
    }
}

/// A value that `Debug` does not show.
#[derive(Clone)]
struct Secret(String);

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[redacted]")
    }
}

impl DatabaseArguments {
    /// Reads the files named, and checks the options.
    ///
    /// # Errors
    /// There is no URL, a file cannot be read, or a URL is malformed. Messages never quote the URL.
    pub fn settings(&self) -> anyhow::Result<DatabaseSettings> {
        let passfile = self.database_passfile.clone().or_else(home_passfile);
        let url = self.database_url.as_ref();
        let Some(dsn) = read_dsn(url, self.database_url_file.as_deref(), passfile.as_deref())? else {
            bail!("no database is named; set --database-url or AGENTEVALS_DATABASE_URL");
        };
        let listen_url = self.database_listen_url.as_ref();
        let listen_file = self.database_listen_url_file.as_deref();
        let mut settings = DatabaseSettings::new(dsn);
        settings.session_dsn =
            read_dsn(listen_url, listen_file, passfile.as_deref()).context("the URL to listen at")?;
        settings.schema = self.database_schema.clone();
        settings.connect_timeout = connect_timeout(&self.database_connect_timeout_s);
        settings.migrate_lock_timeout = self.migrate_lock_timeout;
        Ok(settings)
    }
}

/// The connection string from `file`, else `url`; empty ones count as not set.
fn read_dsn(
    url: Option<&Secret>,
    file: Option<&Path>,
    passfile: Option<&Path>,
) -> anyhow::Result<Option<Dsn>> {
    let text = match file.filter(|file| !file.as_os_str().is_empty()) {
        Some(file) => {
            let text = fs::read_to_string(file);
            Some(text.with_context(|| format!("reading the database URL from `{}`", file.display()))?)
        }
        None => url.map(|Secret(url)| url.clone()).filter(|url| !url.is_empty()),
    };
    let dsn = text.map(|text| Dsn::parse(&text, passfile)).transpose();
    dsn.context("the database URL cannot be used")
}

fn home_passfile() -> Option<PathBuf> {
    std::env::home_dir().map(|home| home.join(".pgpass"))
}

/// Parses the timeout; a malformed one is replaced by the default with a warning, as in the reference implementation.
fn connect_timeout(text: &str) -> Duration {
    parse_seconds(text).unwrap_or_else(|error| {
        let default = DEFAULT_CONNECT_TIMEOUT.as_secs();
        warn!("AGENTEVALS_DB_CONNECT_TIMEOUT_S: `{text}` {error}; waiting {default} s");
        DEFAULT_CONNECT_TIMEOUT
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Program {
        #[command(flatten)]
        database: DatabaseArguments,
        #[command(flatten)]
        schema: SchemaArguments,
    }

    fn program(arguments: &[&str]) -> Program {
        Program::try_parse_from([&["x"], arguments].concat()).unwrap()
    }

    fn settings(arguments: &[&str]) -> anyhow::Result<DatabaseSettings> {
        program(arguments).database.settings()
    }

    #[test]
    fn a_file_wins_over_the_url() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "postgres://me:hunter2@filed/x\n").unwrap();
        let file = file.path().to_str().unwrap();
        let read = settings(&["--database-url", "postgres://given/x", "--database-url-file", file]).unwrap();
        assert!(format!("{:?}", read.dsn).contains("filed"), "{read:?}");
    }

    #[test]
    fn a_database_has_to_be_named() {
        let error = settings(&["--database-url", ""]).unwrap_err();
        assert!(error.to_string().contains("AGENTEVALS_DATABASE_URL"), "{error}");
    }

    #[test]
    fn a_file_that_cannot_be_read_is_an_error() {
        let error = settings(&["--database-url", "postgres://db/x", "--database-url-file", "/nowhere/url"]);
        let error = error.unwrap_err();
        assert!(format!("{error:#}").contains("`/nowhere/url`"), "{error:#}");
    }

    #[test]
    fn a_listen_url_means_a_pooler() {
        let arguments = ["--database-url", "host=pooler", "--database-listen-url", "host=direct"];
        let read = settings(&arguments).unwrap();
        assert!(format!("{:?}", read.session_dsn).contains("direct"), "{read:?}");
        assert!(settings(&["--database-url", "host=db"]).unwrap().session_dsn.is_none());
    }

    #[test]
    fn passwords_are_never_shown() {
        let url = "postgres://me:hunter2@db/x";
        let shown = format!("{:?}", program(&["--database-url", url, "--database-listen-url", url]));
        assert!(!shown.contains("hunter2"), "{shown}");
        let error = settings(&["--database-url", "postgres://me:hunter2@db:hunter2/x"]).unwrap_err();
        assert!(!format!("{error:#?}").contains("hunter2"), "{error:#?}");
    }

    #[test]
    fn a_connect_timeout_that_is_none_is_replaced() {
        for (text, expected) in [
            ("5", 5.0),
            ("1.5", 1.5),
            ("30s", 30.0),
            ("0", 600.0),
            ("-1", 600.0),
            ("inf", 600.0),
            ("x", 600.0),
        ] {
            assert_eq!(connect_timeout(text), Duration::from_secs_f64(expected), "{text}");
        }
    }

    #[test]
    fn a_boolean_is_strict() {
        for (text, expected) in [("true", true), ("no", false), ("0", false), ("on", true)] {
            assert_eq!(program(&["--auto-migrate", text]).schema.auto_migrate(), expected, "{text}");
        }
        assert!(Program::try_parse_from(["x", "--auto-migrate", "maybe"]).is_err());
    }
}
