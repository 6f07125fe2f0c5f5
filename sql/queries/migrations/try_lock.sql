-- Tries to become the one migrator of this database, until the session ends.
-- $1 key, bigint
SELECT pg_try_advisory_lock($1) AS locked;
