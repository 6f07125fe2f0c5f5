//! `agentevals migrate`: the schema of the database.

use std::io::IsTerminal;
use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};

use super::{EXIT_ERRORED, EXIT_FAILED, EXIT_PASSED, output};
use crate::config::DatabaseArguments;
use crate::storage::postgres::{MigrateError, Migration, Migrator, create_migration};

/// Create and change the tables in PostgreSQL
///
/// Exit code: 0 when done, 1 when `version` finds a migration left half done, 2 when it could not be begun, 3 when
/// the database or a migration failed.
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
        /// Only list them
        #[arg(long)]
        dry_run: bool,
    },
    /// Revert the last migrations, with the data they brought
    Down {
        /// How many migrations
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
        /// What it does, as a_name
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
        output::print_lines(&paths.map(|path| format!("created {}", path.display())))?;
        return Ok(EXIT_PASSED);
    }
    if let Action::Down { steps, yes: false } = arguments.action {
        confirm(steps)?;
    }
    let settings = arguments.database.settings()?;
    let outcome = super::runtime()?.block_on(async {
        let mut migrator = Migrator::connect(&settings).await?;
        perform(&arguments.action, &mut migrator).await
    });
    match outcome {
        Ok((code, lines)) => {
            output::print_lines(&lines)?;
            Ok(code)
        }
        Err(error) => report(error),
    }
}

/// Does what was asked, and says in lines what was done.
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

fn listed<'a>(what: &str, migrations: impl IntoIterator<Item = &'a Migration>) -> Vec<String> {
    let lines: Vec<_> =
        migrations.into_iter().map(|migration| format!("{what} {}", migration.name)).collect();
    if lines.is_empty() { vec!["the schema is up to date".to_owned()] } else { lines }
}

/// Asks before data is lost; where nobody can answer, the flag has to say so.
fn confirm(steps: u32) -> anyhow::Result<()> {
    let input = std::io::stdin();
    if !input.is_terminal() {
        bail!("reverting migrations deletes data; say --yes");
    }
    eprint!(
        "Revert the last {}, with the data they brought? [y/N] ",
        output::counted(steps as usize, "migration")
    );
    let mut answer = String::new();
    input.read_line(&mut answer).context("reading the answer")?;
    match answer.trim() {
        "y" | "Y" | "yes" => Ok(()),
        _ => bail!("nothing was done"),
    }
}

/// What the caller can mend beforehand is bad usage; what went wrong underway is not.
fn report(error: MigrateError) -> anyhow::Result<u8> {
    match error {
        MigrateError::Failed { .. } | MigrateError::Locked(_) | MigrateError::Database(_) => {
            eprintln!("error: {}", super::one_line(&error.into()));
            Ok(EXIT_ERRORED)
        }
        MigrateError::Dirty(_)
        | MigrateError::Newer { .. }
        | MigrateError::Pending { .. }
        | MigrateError::Unknown(..)
        | MigrateError::NothingApplied => Err(error.into()),
    }
}
