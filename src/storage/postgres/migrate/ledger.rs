//! The migrator's connection: the recorded version, the lock, and SQL for the schema.

use std::borrow::Cow;

use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Error, Row};

use super::super::Schema;
use super::super::query::{Query, query, render};
use super::state::SchemaState;

static SCHEMA_EXISTS: Query = query!("migrations/schema_exists", [TEXT]);
static CREATE_SCHEMA: Query = query!("migrations/create_schema");
static TABLE_EXISTS: Query = query!("migrations/table_exists");
static CREATE_TABLE: Query = query!("migrations/create_table");
static READ_VERSION: Query = query!("migrations/read_version");
static CLEAR_VERSION: Query = query!("migrations/clear_version");
static RECORD_VERSION: Query = query!("migrations/record_version", [INT8, BOOL]);
static TRY_LOCK: Query = query!("migrations/try_lock", [INT8]);
static UNLOCK: Query = query!("migrations/unlock", [INT8]);

/// The statements of this module.
pub(in super::super) static QUERIES: [&Query; 9] = [
    &SCHEMA_EXISTS,
    &CREATE_SCHEMA,
    &TABLE_EXISTS,
    &CREATE_TABLE,
    &READ_VERSION,
    &CLEAR_VERSION,
    &RECORD_VERSION,
    &TRY_LOCK,
    &UNLOCK,
];

/// Key of the advisory lock, the same for all schemas of a database: `agentevl` in ASCII, which no other program uses.
const LOCK_KEY: i64 = i64::from_be_bytes(*b"agentevl");

/// golang-migrate's version before the first migration, for the dirty mark, which needs a row.
const BEFORE_FIRST: i64 = -1;

/// The migrator's connection and the schema it works on.
pub(super) struct Ledger {
    client: Client,
    schema: Schema,
}

impl Ledger {
    pub(super) fn new(client: Client, schema: Schema) -> Self {
        Self { client, schema }
    }

    /// Executes SQL; several statements are one transaction.
    pub(super) async fn execute(&self, sql: &str) -> Result<(), Error> {
        self.client.batch_execute(sql).await
    }

    /// The SQL of a migration with the configured schema.
    pub(super) fn render(&self, sql: &'static str) -> Cow<'static, str> {
        render(sql, &self.schema)
    }

    /// The recorded version and dirty mark; `None` if no migration was applied.
    pub(super) async fn read(&self) -> Result<Option<(i64, bool)>, Error> {
        if !self.is_true(&TABLE_EXISTS, &[]).await? {
            return Ok(None);
        }
        let rows = self.rows(&READ_VERSION, &[]).await?;
        Ok(rows.first().map(|row| (row.get(0), row.get(1))))
    }

    /// Tries to get the lock of all migrators of this database.
    pub(super) async fn try_lock(&self) -> Result<bool, Error> {
        self.is_true(&TRY_LOCK, &[&LOCK_KEY]).await
    }

    /// Releases the lock. Failures do not matter, since the server releases the lock of a lost connection.
    pub(super) async fn unlock(&self) {
        self.rows(&UNLOCK, &[&LOCK_KEY]).await.ok();
    }

    /// Creates the schema and the table of versions if they are missing.
    pub(super) async fn prepare(&self) -> Result<(), Error> {
        if !self.is_true(&SCHEMA_EXISTS, &[&self.schema.name()]).await? {
            self.rows(&CREATE_SCHEMA, &[]).await?;
        }
        self.rows(&CREATE_TABLE, &[]).await?;
        Ok(())
    }

    /// Executes SQL, which may be empty, and records the state in the same transaction.
    pub(super) async fn execute_and_record(&self, sql: &str, state: SchemaState) -> Result<(), Error> {
        let run = async {
            self.execute("BEGIN").await?;
            self.execute(sql).await?;
            self.record(state).await?;
            self.execute("COMMIT").await
        };
        let outcome = run.await;
        if outcome.is_err() {
            // Fails if the connection is lost; the server has rolled back then.
            self.execute("ROLLBACK").await.ok();
        }
        outcome
    }

    /// Records the state in the open transaction.
    async fn record(&self, state: SchemaState) -> Result<(), Error> {
        self.rows(&CLEAR_VERSION, &[]).await?;
        let version = match state {
            SchemaState { version: 0, is_dirty: false } => return Ok(()),
            SchemaState { version: 0, is_dirty: true } => BEFORE_FIRST,
            SchemaState { version, .. } => i64::from(version),
        };
        self.rows(&RECORD_VERSION, &[&version, &state.is_dirty]).await?;
        Ok(())
    }

    async fn is_true(&self, query: &Query, parameters: &[&(dyn ToSql + Sync)]) -> Result<bool, Error> {
        Ok(self.rows(query, parameters).await?.first().is_some_and(|row| row.get(0)))
    }

    async fn rows(&self, query: &Query, parameters: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>, Error> {
        let typed: Vec<(&(dyn ToSql + Sync), Type)> = query.typed(parameters);
        self.client.query_typed(&query.render(&self.schema), &typed).await
    }
}
