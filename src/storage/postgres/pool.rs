//! The pool of connections, and statements over it.
//!
//! Each connection caches its prepared statements. A connection is dropped when a statement fails for want of a working
//! server, and the next statement gets another one. A check-out needs no round trip to find dead idle connections,
//! because their driver tasks have ended.
//!
//! Behind a transaction pooler nothing may be prepared, see [`DatabaseSettings::session_dsn`]. Statements are then sent
//! unnamed with the types of their parameters, also in one round trip. So parameters and columns must be of built-in
//! types: for others the driver would prepare a statement of its own to look the type up.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bb8::{ManageConnection, Pool, PooledConnection, RunError};
use futures_util::TryStreamExt;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Row, Statement};
use tracing::debug;

use super::session::{Connector, Driver};
use super::{DatabaseError, DatabaseSettings, Query, Schema};

/// Time limit for asking the server to cancel a statement.
const CANCEL_TIMEOUT: Duration = Duration::from_secs(5);

/// Why the last attempt to open a connection failed, if it did; shown when a check-out times out.
type LastFailure = Arc<Mutex<Option<String>>>;

/// A connected database; clones share the pool.
#[derive(Clone)]
pub struct Database {
    pool: Pool<Manager>,
    checkout_timeout: Duration,
    command_timeout: Duration,
    last_failure: LastFailure,
}

impl Database {
    /// Connects; waits for a server that is down or starting.
    ///
    /// # Errors
    /// `Unavailable` after the time limit for connecting; other errors at once.
    pub async fn connect(settings: &DatabaseSettings) -> Result<Self, DatabaseError> {
        let last_failure = LastFailure::default();
        let manager = Manager {
            connector: Connector::new(&settings.dsn)?,
            prepares: settings.session_dsn.is_none(),
            schema: settings.schema.clone(),
            last_failure: Arc::clone(&last_failure),
        };
        let (client, driver) = manager.connector.open_patiently(settings.connect_timeout).await?;
        let first = manager.session(client, driver);
        let max = settings.pool.max.max(1);
        let pool = Pool::builder()
            .max_size(max)
            .min_idle(settings.pool.min.min(max))
            .connection_timeout(settings.checkout_timeout)
            .build_unchecked(manager);
        // Fails if the pool has opened all its connections already.
        pool.add(first).ok();
        let (checkout_timeout, command_timeout) = (settings.checkout_timeout, settings.command_timeout);
        Ok(Self { pool, checkout_timeout, command_timeout, last_failure })
    }

    /// Executes a statement and returns its rows.
    ///
    /// # Errors `Unavailable` also if no connection is free in time, and if the statement takes too long; it may have
    /// been executed then.
    pub async fn query(
        &self,
        query: &Query,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, DatabaseError> {
        self.run(query, parameters).await.map(|outcome| outcome.rows)
    }

    /// Executes a statement and returns how many rows it changed.
    ///
    /// # Errors
    /// As [`Self::query`].
    pub async fn execute(
        &self,
        query: &Query,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<u64, DatabaseError> {
        self.run(query, parameters).await.map(|outcome| outcome.affected)
    }

    async fn run(
        &self,
        query: &Query,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Executed, DatabaseError> {
        let mut session = self.checkout().await?;
        // Until the answer is read, the connection cannot be used again: the caller may drop this future at any time.
        session.is_broken = true;
        let failure = match timeout(self.command_timeout, session.run(query, parameters)).await {
            Ok(Ok(outcome)) => {
                session.is_broken = false;
                return Ok(outcome);
            }
            Ok(Err(error)) => match DatabaseError::from(error) {
                // The connection was granted, so this is a missing GRANT, a fault of the installation.
                DatabaseError::Denied(why) => anyhow::anyhow!(why).into(),
                other => other,
            },
            Err(_) => {
                session.cancel();
                DatabaseError::Unavailable(format!("no answer within {:?}", self.command_timeout))
            }
        };
        session.is_broken = failure.is_transient();
        Err(about(failure, query))
    }

    async fn checkout(&self) -> Result<PooledConnection<'_, Manager>, DatabaseError> {
        self.pool.get().await.map_err(|error| match error {
            RunError::User(error) => error,
            RunError::TimedOut => {
                let failure = self.last_failure.lock().unwrap_or_else(PoisonError::into_inner);
                let why = failure.as_deref().unwrap_or("all are in use");
                DatabaseError::Unavailable(format!("no connection within {:?}: {why}", self.checkout_timeout))
            }
        })
    }
}

/// Adds the statement's name to a fault.
fn about(error: DatabaseError, query: &Query) -> DatabaseError {
    match error {
        DatabaseError::Other(error) => error.context(format!("statement `{}`", query.name)).into(),
        other => other,
    }
}

struct Executed {
    rows: Vec<Row>,
    affected: u64,
}

/// A pooled connection.
struct Session {
    client: Client,
    driver: JoinHandle<()>,
    /// Prepared statements by the name of the query; `None` behind a transaction pooler.
    statements: Option<HashMap<&'static str, Statement>>,
    schema: Schema,
    connector: Connector,
    is_broken: bool,
}

impl Session {
    async fn run(
        &mut self,
        query: &Query,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Executed, tokio_postgres::Error> {
        let Some(statements) = &mut self.statements else {
            let sql = query.render(&self.schema);
            return collect(self.client.query_typed_raw(&sql, query.typed(parameters)).await?).await;
        };
        if let Some(statement) = statements.get(query.name) {
            match execute(&self.client, statement, parameters).await {
                Err(error) if is_outdated(&error) => statements.remove(query.name),
                outcome => return outcome,
            };
        }
        let sql = query.render(&self.schema);
        let statement = self.client.prepare_typed(&sql, &query.types()).await?;
        statements.insert(query.name, statement.clone());
        execute(&self.client, &statement, parameters).await
    }

    /// Marks the connection as broken and asks the server, over another connection, to cancel its statement.
    fn cancel(&mut self) {
        self.is_broken = true;
        let (token, tls) = (self.client.cancel_token(), self.connector.tls());
        tokio::spawn(async move {
            if let Ok(Err(error)) = timeout(CANCEL_TIMEOUT, token.cancel_query(tls)).await {
                debug!("a statement could not be cancelled: {error}");
            }
        });
    }
}

impl Drop for Session {
    /// The driver of a dead connection would go on trying to send its last message, `Terminate`.
    fn drop(&mut self) {
        if self.is_broken {
            self.driver.abort();
        }
    }
}

async fn execute(
    client: &Client,
    statement: &Statement,
    parameters: &[&(dyn ToSql + Sync)],
) -> Result<Executed, tokio_postgres::Error> {
    collect(client.query_raw(statement, parameters.iter().copied()).await?).await
}

async fn collect(stream: tokio_postgres::RowStream) -> Result<Executed, tokio_postgres::Error> {
    let mut stream = std::pin::pin!(stream);
    let mut rows = Vec::new();
    while let Some(row) = stream.try_next().await? {
        rows.push(row);
    }
    Ok(Executed { rows, affected: stream.rows_affected().unwrap_or(0) })
}

/// Whether the server refused a prepared statement before executing it: a table has changed since (`cached plan must
/// not change result type`), or the server has dropped the statement. Then it is safe to prepare and execute it again.
fn is_outdated(error: &tokio_postgres::Error) -> bool {
    matches!(error.code(), Some(&SqlState::FEATURE_NOT_SUPPORTED | &SqlState::INVALID_SQL_STATEMENT_NAME))
}

/// Opens and checks the pool's connections.
struct Manager {
    connector: Connector,
    prepares: bool,
    schema: Schema,
    last_failure: LastFailure,
}

impl Manager {
    fn session(&self, client: Client, driver: Driver) -> Session {
        let driver = tokio::spawn(async move {
            if let Err(error) = driver.await {
                debug!("a database connection ended: {}", DatabaseError::from(error));
            }
        });
        Session {
            client,
            driver,
            statements: self.prepares.then(HashMap::new),
            schema: self.schema.clone(),
            connector: self.connector.clone(),
            is_broken: false,
        }
    }
}

impl ManageConnection for Manager {
    type Connection = Session;
    type Error = DatabaseError;

    async fn connect(&self) -> Result<Session, DatabaseError> {
        let opened = self.connector.open().await;
        let failure = opened.as_ref().err().map(ToString::to_string);
        *self.last_failure.lock().unwrap_or_else(PoisonError::into_inner) = failure;
        let (client, driver) = opened?;
        Ok(self.session(client, driver))
    }

    async fn is_valid(&self, session: &mut Session) -> Result<(), DatabaseError> {
        match self.has_broken(session) {
            true => Err(DatabaseError::Unavailable("the connection was closed".to_owned())),
            false => Ok(()),
        }
    }

    fn has_broken(&self, session: &mut Session) -> bool {
        session.is_broken || session.client.is_closed()
    }
}
