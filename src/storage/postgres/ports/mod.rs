//! The ports over PostgreSQL: the statements of `sql/queries` do the work, this translates.

mod events;
mod finished;
mod outbox;
mod queries;
mod queue;
mod record;
mod retention;
mod rows;
mod runs;
mod store;
mod submit;
mod values;

pub(super) use queries::ALL as QUERIES;
pub use store::PostgresStore;
