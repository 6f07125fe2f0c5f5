-- Cancels a run. A queued one ends at once and keeps only the results of its last attempt; a running one is marked, and
-- its worker ends it; a finished one stays as it is.
--
-- $1 run id uuid   $2 code text   $3 text of the error text, both for the message to its sinks
--
-- The row is locked before its lease is looked at, so that a concurrent claim comes either before or after. The last
-- update computes the flag from the row that it meets: PostgreSQL also checks constraints on the version from before
-- such a claim, where `true` would violate `run_queue_cancel_needs_lease`.
WITH target AS (
    SELECT run_id, lease_id, attempt, event_seq, started_at, has_sinks
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
), message AS (
    INSERT INTO agentevals.delivery (run_id, sink, event, phase, payload)
    SELECT t.run_id, s.sink, t.event_seq + 1, 'error', agentevals.error_payload(t.run_id, t.attempt, $2, $3)
    FROM target AS t
    JOIN agentevals.run_sink AS s ON s.run_id = t.run_id
    WHERE t.lease_id IS NULL AND t.has_sinks
    RETURNING run_id
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
    END,
    (SELECT agentevals.tell_deliverers() FROM message HAVING count(*) > 0)
FROM target
