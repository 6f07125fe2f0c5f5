-- Releases the lock of the migrators.
-- $1 key, bigint
SELECT pg_advisory_unlock($1) AS unlocked;
