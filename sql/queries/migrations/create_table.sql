-- Creates the table that says which migrations were applied: golang-migrate's, one row at most.
CREATE TABLE IF NOT EXISTS agentevals.schema_migrations (
    version bigint PRIMARY KEY,
    dirty boolean NOT NULL
);
