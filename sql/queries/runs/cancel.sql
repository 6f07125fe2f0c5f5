-- Ends a queued run, of which only results of its last attempt stay; asks for a running one to be stopped; leaves a
-- finished one as it is.
--
-- $1 run id uuid   $2, $3 code and text of the error that its sinks are told of text
--
-- The row is locked before it is judged, so that a claim that happens at the same time is either seen or comes too
-- late. The update computes the flag from the row it meets, because checks are also made on the row as it was before
-- such a claim, which could not bear a flag that is simply true.
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
