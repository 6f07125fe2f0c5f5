-- Queues a failed or cancelled run again; its attempts and events keep counting. Runs of uploaded traces are left as
-- they are, since the traces were not kept.
--
-- $1 run id uuid
WITH target AS (
    SELECT run_id, attempt, started_at
    FROM agentevals.run
    WHERE run_id = $1 AND outcome IN ('failed', 'cancelled') AND target_kind <> 'uploaded'
    FOR UPDATE
), reopened AS (
    UPDATE agentevals.run AS r
    SET
        outcome = NULL,
        attempt = NULL,
        error_code = NULL,
        error_message = NULL,
        started_at = NULL,
        finished_at = NULL,
        cancel_requested = false
    FROM target AS t
    WHERE r.run_id = t.run_id
    RETURNING r.run_id, r.priority, r.max_attempts
), queued AS (
    INSERT INTO agentevals.run_queue (rank, run_id, attempt, max_attempts, started_at, event_seq, has_sinks)
    SELECT
        -r.priority,
        r.run_id,
        t.attempt,
        t.attempt + r.max_attempts,
        t.started_at,
        (SELECT max(seq) + 1 FROM agentevals.run_event AS e WHERE e.run_id = t.run_id),
        EXISTS (SELECT FROM agentevals.run_sink AS s WHERE s.run_id = t.run_id)
    FROM reopened AS r
    JOIN target AS t ON t.run_id = r.run_id
    RETURNING run_id, event_seq
), event AS (
    INSERT INTO agentevals.run_event (run_id, seq, kind, data)
    SELECT run_id, event_seq, 'run.queued', '{}'
    FROM queued
)
SELECT agentevals.tell_workers(0), agentevals.tell_watchers(ARRAY[run_id])
FROM queued
