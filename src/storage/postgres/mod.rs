//! PostgreSQL: connections, statements, notifications and the schema.
//!
//! [`Dsn`] and [`DatabaseSettings`] describe the database, [`Database`] is the pool that runs the statements of
//! `sql/queries`, [`Listener`] the connection that receives notifications, [`Migrator`] brings the schema up to date.
//! All of them open connections in the same way (`session`), with the same TLS. Only this folder names the driver; its
//! errors leave as [`DatabaseError`].

mod dsn;
mod error;
mod hints;
mod listen;
mod migrate;
mod pool;
mod ports;
mod query;
mod session;
mod settings;
mod tls;

pub use dsn::{Dsn, DsnError};
pub use error::DatabaseError;
pub use hints::forward as forward_hints;
pub use listen::{Listener, Notice};
pub use migrate::{MIGRATIONS, MigrateError, Migration, Migrator, SchemaState, create as create_migration};
pub use pool::Database;
pub use ports::PostgresStore;
pub use query::{ParameterList, Query};
pub use settings::{DatabaseSettings, InvalidSchema, PoolSize, Schema};
pub use tls::{SslMode, TlsSettings};

/// Every statement of this program, for the tests that prepare them all.
pub fn queries() -> Vec<&'static Query> {
    migrate::QUERIES.into_iter().chain(ports::queries()).collect()
}
