-- Reads the last migration and whether it was left half done. No row: none was applied.
SELECT version, dirty
FROM agentevals.schema_migrations;
