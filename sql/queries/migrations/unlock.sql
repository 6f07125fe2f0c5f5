-- Lets the next migrator in.
-- $1 key, bigint
SELECT pg_advisory_unlock($1) AS unlocked;
