//! Applies and reverts migrations.
//!
//! The table `schema_migrations` is golang-migrate's: one row with the last version and a dirty mark. A migrator holds
//! an advisory lock on a connection of its own, so several replicas may start together and only one migrates. It first
//! marks the new version dirty, then runs the migration and the clean mark in one transaction. A migration that cannot
//! run in a transaction is marked clean afterwards.

mod error;
mod files;
mod ledger;
mod state;

use std::time::Duration;

use tokio::time::{Instant, sleep};
use tracing::{debug, info};

pub use error::MigrateError;
pub use files::{MIGRATIONS, Migration, create};
pub(super) use ledger::QUERIES;
pub use state::SchemaState;

use super::session::Connector;
use super::{DatabaseError, DatabaseSettings};
use crate::pace::Pace;
use ledger::Ledger;

/// Pauses between attempts to get the lock; each is twice as long as the one before.
const FIRST_LOCK_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_LOCK_PAUSE: Duration = Duration::from_secs(2);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    Up,
    Down,
}

/// Applies and reverts migrations over a connection of its own.
pub struct Migrator {
    ledger: Ledger,
    lock_timeout: Duration,
    migrations: &'static [Migration],
}

impl Migrator {
    /// Connects for the migrations of this program; waits for a server that is down or starting.
    ///
    /// # Errors
    /// As [`super::Database::connect`].
    pub async fn connect(settings: &DatabaseSettings) -> Result<Self, DatabaseError> {
        Self::with_migrations(settings, MIGRATIONS).await
    }

    /// Connects for other migrations, numbered from 1 without gaps.
    ///
    /// # Errors
    /// As [`super::Database::connect`].
    pub async fn with_migrations(
        settings: &DatabaseSettings,
        migrations: &'static [Migration],
    ) -> Result<Self, DatabaseError> {
        let connector = Connector::new(settings.session_dsn())?;
        let (client, driver) = connector.open_patiently(settings.connect_timeout).await?;
        tokio::spawn(async move {
            if let Err(error) = driver.await {
                debug!("the migrator's connection ended: {}", DatabaseError::from(error));
            }
        });
        let ledger = Ledger::new(client, settings.schema.clone());
        Ok(Self { ledger, lock_timeout: settings.migrate_lock_timeout, migrations })
    }

    /// The recorded version of the schema.
    ///
    /// # Errors
    /// `Newer` if this program does not know the version, `Database` if it cannot be read.
    pub async fn state(&self) -> Result<SchemaState, MigrateError> {
        let Some((found, is_dirty)) = self.ledger.read().await? else { return Ok(SchemaState::default()) };
        match u32::try_from(found.max(0)) {
            Ok(version) if version <= self.last() => Ok(SchemaState { version, is_dirty }),
            _ => Err(MigrateError::Newer { found, known: self.last() }),
        }
    }

    /// The migrations that are not applied yet, in order.
    ///
    /// # Errors
    /// As [`Self::state`], and `Dirty`.
    pub async fn pending(&self) -> Result<&'static [Migration], MigrateError> {
        let version = self.settled_version().await?;
        Ok(&self.migrations[version as usize..])
    }

    /// Fails unless the schema has the version that this program needs.
    ///
    /// # Errors
    /// As [`Self::pending`], and `Pending`.
    pub async fn verify(&self) -> Result<(), MigrateError> {
        let found = self.settled_version().await?;
        if found == self.last() { Ok(()) } else { Err(MigrateError::Pending { found, needed: self.last() }) }
    }

    /// Applies the pending migrations and returns them.
    ///
    /// # Errors
    /// `Locked`, `Dirty`, `Newer`, and `Failed` for the migration at which it stopped.
    pub async fn up(&mut self) -> Result<&'static [Migration], MigrateError> {
        self.lock().await?;
        let outcome = self.apply_pending().await;
        self.unlock(outcome).await
    }

    /// Reverts the last migrations and returns them, last one first.
    ///
    /// # Errors
    /// As [`Self::up`], and `NothingApplied`.
    pub async fn down(&mut self, steps: u32) -> Result<Vec<&'static Migration>, MigrateError> {
        self.lock().await?;
        let outcome = self.revert(steps).await;
        self.unlock(outcome).await
    }

    /// Records a version as clean without running any migration.
    ///
    /// # Errors
    /// `Unknown` if no migration has it, `Locked`, `Database`.
    pub async fn force(&mut self, version: u32) -> Result<(), MigrateError> {
        if version > self.last() {
            return Err(MigrateError::Unknown(version, self.last()));
        }
        self.lock().await?;
        let outcome = self.ledger.execute_and_record("", SchemaState { version, is_dirty: false }).await;
        self.unlock(outcome).await
    }

    fn last(&self) -> u32 {
        self.migrations.last().map_or(0, |last| last.version)
    }

    async fn clean_version(&self) -> Result<u32, MigrateError> {
        match self.state().await? {
            SchemaState { version, is_dirty: true } => Err(MigrateError::Dirty(version)),
            SchemaState { version, is_dirty: false } => Ok(version),
        }
    }

    /// The clean version. A dirty one may belong to a migrator at work, so this waits for its lock and looks again.
    async fn settled_version(&self) -> Result<u32, MigrateError> {
        match self.clean_version().await {
            Err(MigrateError::Dirty(_)) => {
                self.acquire().await?;
                let version = self.clean_version().await;
                self.unlock(version).await
            }
            outcome => outcome,
        }
    }

    async fn apply_pending(&self) -> Result<&'static [Migration], MigrateError> {
        let version = self.clean_version().await?;
        let pending = &self.migrations[version as usize..];
        for migration in pending {
            self.step(migration, Direction::Up).await?;
            info!("applied migration `{}`", migration.name);
        }
        Ok(pending)
    }

    async fn revert(&self, steps: u32) -> Result<Vec<&'static Migration>, MigrateError> {
        let version = self.clean_version().await?;
        if version == 0 {
            return Err(MigrateError::NothingApplied);
        }
        let applied = &self.migrations[..version as usize];
        let reverted: Vec<_> = applied.iter().rev().take(steps as usize).collect();
        for migration in &reverted {
            self.step(migration, Direction::Down).await?;
            info!("reverted migration `{}`", migration.name);
        }
        Ok(reverted)
    }

    /// Runs one file. The dirty mark is committed before, so that a crash half way is noticed.
    async fn step(&self, migration: &'static Migration, direction: Direction) -> Result<(), MigrateError> {
        let (sql, before, after) = match direction {
            Direction::Up => (migration.up, migration.version - 1, migration.version),
            Direction::Down => (migration.down, migration.version, migration.version - 1),
        };
        self.ledger.execute_and_record("", SchemaState { version: after, is_dirty: true }).await?;
        let clean = SchemaState { version: after, is_dirty: false };
        let has_transaction = !files::runs_without_transaction(sql);
        let sql = self.ledger.render(sql);
        let outcome = match has_transaction {
            true => self.ledger.execute_and_record(&sql, clean).await,
            false => self.run_alone(&sql, clean).await,
        };
        outcome.map_err(|error| {
            let source = DatabaseError::from(error);
            let remains = match has_transaction {
                true if source.is_transient() => "was rolled back if `agentevals migrate version` says dirty",
                true => "was rolled back",
                false => "ran without a transaction, so a part of it may remain, which has to be undone",
            };
            MigrateError::Failed { name: migration.name, remains, before, source }
        })
    }

    /// Sends one statement at a time, since the server runs several in one message as one transaction.
    async fn run_alone(&self, sql: &str, clean: SchemaState) -> Result<(), tokio_postgres::Error> {
        for statement in sql.split_inclusive(";\n") {
            self.ledger.execute(statement).await?;
        }
        self.ledger.execute_and_record("", clean).await
    }

    /// Waits for other migrators, then creates the schema and the table of versions if they are missing.
    async fn lock(&self) -> Result<(), MigrateError> {
        self.acquire().await?;
        match self.ledger.prepare().await {
            Ok(()) => Ok(()),
            failure => self.unlock(failure).await,
        }
    }

    async fn acquire(&self) -> Result<(), MigrateError> {
        let started = Instant::now();
        let mut pace = Pace::new(FIRST_LOCK_PAUSE, LONGEST_LOCK_PAUSE);
        while !self.ledger.try_lock().await? {
            let left = self.lock_timeout.saturating_sub(started.elapsed());
            if left.is_zero() {
                return Err(MigrateError::Locked(self.lock_timeout));
            }
            sleep(pace.pause().min(left)).await;
        }
        Ok(())
    }

    /// Releases the lock and returns the outcome.
    async fn unlock<T, E: Into<MigrateError>>(&self, outcome: Result<T, E>) -> Result<T, MigrateError> {
        self.ledger.unlock().await;
        outcome.map_err(Into::into)
    }
}
