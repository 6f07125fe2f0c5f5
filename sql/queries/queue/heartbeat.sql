-- Extends leases; returns those that are still held and whether their runs are to be stopped.
--
-- $1 run ids uuid[]   $2 lease ids uuid[]   $3 length of the lease in milliseconds bigint
--
-- A row that is locked is being written by its own worker, which ends or extends it; waiting for it could close a
-- circle of locks. This need not survive a crash of the database, and nobody is told of it: its commit does not wait for
-- the disk.
WITH held AS (
    SELECT q.run_id, q.lease_id, q.cancel_requested
    FROM unnest($1::uuid[], $2::uuid[]) AS i (run_id, lease_id)
    JOIN agentevals.run_queue AS q ON q.run_id = i.run_id AND q.lease_id = i.lease_id
), free AS (
    SELECT q.rank, q.seq
    FROM unnest($1::uuid[], $2::uuid[]) AS i (run_id, lease_id)
    JOIN agentevals.run_queue AS q ON q.run_id = i.run_id AND q.lease_id = i.lease_id
    FOR UPDATE OF q SKIP LOCKED
), extended AS (
    UPDATE agentevals.run_queue AS q
    SET lease_until = now() + $3 * interval '1 millisecond'
    FROM free AS f
    WHERE q.rank = f.rank AND q.seq = f.seq
)
SELECT run_id, lease_id, cancel_requested, (SELECT set_config('synchronous_commit', 'off', true))
FROM held
