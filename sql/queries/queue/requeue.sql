-- Queues a run again after a transient failure.
--
-- $1 run id uuid   $2 lease id uuid   $3 wait in milliseconds bigint   $4 code text   $5 reason text
--
-- Returns no row if the lease is lost or the run is being cancelled.
WITH given_back AS (
    UPDATE agentevals.run_queue
    SET
        lease_id = NULL,
        worker = NULL,
        lease_until = now() + $3 * interval '1 millisecond',
        done = NULL,
        total = NULL,
        event_seq = event_seq + 1
    WHERE run_id = $1 AND lease_id = $2 AND NOT cancel_requested
    RETURNING run_id, event_seq, attempt
), event AS (
    INSERT INTO agentevals.run_event (run_id, seq, kind, data)
    SELECT
        run_id,
        event_seq,
        'run.requeued',
        json_build_object('attempt', attempt, 'code', $4::text, 'message', $5::text)
    FROM given_back
)
SELECT agentevals.tell_workers($3), agentevals.tell_watchers(ARRAY[run_id])
FROM given_back
