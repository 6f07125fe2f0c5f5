//! The ports over PostgreSQL: each call is a statement of `sql/queries`, with its parameters and rows translated.

mod columns;
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

pub use store::PostgresStore;

use super::Query;

/// Every statement of the ports.
pub(super) fn queries() -> impl Iterator<Item = &'static Query> {
    let with_columns = [&submit::SUBMIT, &record::RECORD, &finished::RECORD_FINISHED];
    queries::ALL.into_iter().chain(with_columns)
}
