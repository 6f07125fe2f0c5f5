-- Creates golang-migrate's table of the last migration, which has one row at most.
CREATE TABLE IF NOT EXISTS agentevals.schema_migrations (
    version bigint PRIMARY KEY,
    dirty boolean NOT NULL
);
