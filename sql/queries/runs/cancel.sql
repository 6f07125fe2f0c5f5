-- Ends a queued run, of which only results of its last attempt stay; asks for a running one to be stopped; leaves a
-- finished one as it is.
--
-- $1 run id uuid
--
-- The row is locked before it is judged, so that a claim that happens at the same time is either seen or comes too
-- late. The update computes the flag from the row it meets, because checks are also made on the row as it was before
-- such a claim, which could not bear a flag that is simply true.
WITH target AS (
    SELECT run_id, lease_id, attempt, event_seq, started_at
    FROM agentevals.run_queue
    WHERE run_id = $1
    FOR UPDATE
), dropped AS (
    DELETE FROM agentevals.run_queue AS q
    USING target AS t
    WHERE q.run_id = t.run_id AND t.lease_id IS NULL
), ended AS (
    UPDATE agentevals.run AS r
    SET
        outcome = 'cancelled',
        attempt = t.attempt,
        started_at = t.started_at,
        finished_at = now(),
        cancel_requested = true
    FROM target AS t
    WHERE r.run_id = t.run_id AND t.lease_id IS NULL
), stale AS (
    DELETE FROM agentevals.result AS r
    USING target AS t
    WHERE r.run_id = t.run_id AND t.lease_id IS NULL AND r.attempt <> t.attempt
), event AS (
    INSERT INTO agentevals.run_event (run_id, seq, kind, data)
    SELECT run_id, event_seq + 1, 'run.cancelled', json_build_object('attempt', attempt)
    FROM target
    WHERE lease_id IS NULL
), asked AS (
    UPDATE agentevals.run_queue AS q
    SET cancel_requested = q.lease_id IS NOT NULL
    FROM target AS t
    WHERE q.run_id = t.run_id AND t.lease_id IS NOT NULL
)
SELECT
    CASE
        WHEN lease_id IS NULL THEN agentevals.tell_watchers(ARRAY[run_id])
        ELSE pg_notify('agentevals:cancel', run_id::text)
    END
FROM target
