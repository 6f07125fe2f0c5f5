-- Forgets the last migration; a new row follows in the same transaction, unless none is left applied.
DELETE FROM agentevals.schema_migrations;
