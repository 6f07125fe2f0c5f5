-- Deletes the recorded version. In the same transaction record_version inserts the new one, unless none is left
-- applied.
DELETE FROM agentevals.schema_migrations;
