-- Whether the table of the last migration exists.
SELECT to_regclass('agentevals.schema_migrations') IS NOT NULL AS "exists";
