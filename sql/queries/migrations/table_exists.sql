-- Says whether the table of applied migrations exists.
SELECT to_regclass('agentevals.schema_migrations') IS NOT NULL AS "exists";
