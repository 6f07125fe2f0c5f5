-- The last migration, and whether it is dirty. No row if none was applied.
SELECT version, dirty
FROM agentevals.schema_migrations;
