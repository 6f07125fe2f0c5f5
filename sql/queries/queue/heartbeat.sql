-- Extends leases; returns those that are still held, and whether their runs are being cancelled.
--
-- $1 run ids uuid[]   $2 lease ids uuid[]   $3 length of the lease in milliseconds bigint
--
-- Locked rows are skipped: another statement is writing to them, and waiting for it while holding other rows could be a
-- deadlock. A skipped row counts as held, and the next heartbeat extends it. The commit does not wait for fsync, since
-- a heartbeat that a crash undoes only shortens a lease, and no watcher hears of it.
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
