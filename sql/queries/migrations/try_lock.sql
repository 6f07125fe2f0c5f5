-- Tries to get the lock of all migrators of this database; the session holds it until it ends.
-- $1 key, bigint
SELECT pg_try_advisory_lock($1) AS locked;
