//! `agentevals migrate`: the schema of the database.

use std::io::IsTerminal;
use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};

use super::exit_code::{EXIT_ERRORED, EXIT_FAILED, EXIT_PASSED};
use super::output::{one_line, print_lines};
use super::runtime::runtime;
use crate::config::DatabaseArguments;
use crate::reports::counted;
use crate::storage::postgres::{MigrateError, Migration, Migrator, create_migration};

/// Create and change the tables in PostgreSQL
///
/// Exit code: 0 when done, 1 when `version` finds a half-applied migration, 2 for bad usage or a schema that does not
/// allow the action, 3 when the database or a migration failed.
#[derive(Debug, Args)]
pub struct MigrateArguments {
    #[command(subcommand)]
    action: Action,
    #[command(flatten)]
    database: DatabaseArguments,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Apply all migrations that are not applied yet
    Up {
        /// List them without applying them
        #[arg(long)]
        dry_run: bool,
    },
    /// Revert the last migrations, with the data they brought
    Down {
        /// How many migrations to revert
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
        steps: u32,
        /// Do not ask before data is deleted
        #[arg(long)]
        yes: bool,
    },
    /// Print the version of the schema
    Version,
    /// Declare the version of the schema, after a failed migration was repaired by hand
    Force {
        /// Last migration that is applied, 0 for none
        #[arg(value_name = "VERSION")]
        applied: u32,
    },
    /// Write the next pair of empty migration files
    Create {
        /// Name of the migration, as add_labels
        name: String,
        /// Folder of the migrations
        #[arg(short = 'o', long = "output-dir", value_name = "DIR", default_value = "sql/migrations")]
        folder: PathBuf,
    },
}

/// Runs the command and returns the exit code.
pub(super) fn migrate(arguments: &MigrateArguments) -> anyhow::Result<u8> {
    if let Action::Create { name, folder } = &arguments.action {
        let created = create_migration(folder, name);
        let paths = created.with_context(|| format!("creating a migration in `{}`", folder.display()))?;
        print_lines(&paths.map(|path| format!("created {}", path.display())))?;
        return Ok(EXIT_PASSED);
    }
    if let Action::Down { steps, yes: false } = arguments.action {
        confirm(steps)?;
    }
    let settings = arguments.database.settings()?;
    let outcome = runtime()?.block_on(async {
        let mut migrator = Migrator::connect(&settings).await?;
        perform(&arguments.action, &mut migrator).await
    });
    match outcome {
        Ok((code, lines)) => {
            print_lines(&lines)?;
            Ok(code)
        }
        Err(error) => report(error),
    }
}

/// Performs the action; returns the exit code and the lines to print.
async fn perform(action: &Action, migrator: &mut Migrator) -> Result<(u8, Vec<String>), MigrateError> {
    let lines = match *action {
        Action::Up { dry_run: true } => listed("would apply", migrator.pending().await?),
        Action::Up { dry_run: false } => listed("applied", migrator.up().await?),
        Action::Down { steps, .. } => listed("reverted", migrator.down(steps).await?),
        Action::Force { applied } => {
            migrator.force(applied).await?;
            vec![format!("the schema is declared to be at version {applied}")]
        }
        Action::Version => {
            let state = migrator.state().await?;
            let code = if state.is_dirty { EXIT_FAILED } else { EXIT_PASSED };
            let mark = if state.is_dirty { " (dirty)" } else { "" };
            return Ok((code, vec![format!("{}{mark}", state.version)]));
        }
        Action::Create { .. } => Vec::new(), // needs no database
    };
    Ok((EXIT_PASSED, lines))
}

/// A line for each migration, as `applied 000001_create`.
fn listed<'a>(verb: &str, migrations: impl IntoIterator<Item = &'a Migration>) -> Vec<String> {
    let lines: Vec<_> =
        migrations.into_iter().map(|migration| format!("{verb} {}", migration.name)).collect();
    if lines.is_empty() { vec!["the schema is up to date".to_owned()] } else { lines }
}

/// Asks before data is deleted; without a terminal to ask at, only `--yes` lets it happen.
fn confirm(steps: u32) -> anyhow::Result<()> {
    let input = std::io::stdin();
    if !input.is_terminal() {
        bail!("reverting migrations deletes data; say --yes");
    }
    let migrations = counted(steps as usize, "migration");
    eprint!("Revert the last {migrations}, with the data they brought? [y/N] ");
    let mut answer = String::new();
    input.read_line(&mut answer).context("reading the answer")?;
    match answer.trim() {
        "y" | "Y" | "yes" => Ok(()),
        _ => bail!("nothing was done"),
    }
}

/// Tells failures of the database or of a migration, which exit with 3, from errors that the caller can correct.
fn report(error: MigrateError) -> anyhow::Result<u8> {
    match error {
        MigrateError::Failed { .. } | MigrateError::Locked(_) | MigrateError::Database(_) => {
            eprintln!("error: {}", one_line(&error.into()));
            Ok(EXIT_ERRORED)
        }
        MigrateError::Dirty(_)
        | MigrateError::Newer { .. }
        | MigrateError::Pending { .. }
        | MigrateError::Unknown(..)
        | MigrateError::NothingApplied => Err(error.into()),
    }
}
