-- Records the last migration, in the same transaction as clear_version.
-- $1 version, bigint
-- $2 whether it is dirty, boolean
INSERT INTO agentevals.schema_migrations (version, dirty)
VALUES ($1, $2);
