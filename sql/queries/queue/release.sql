-- Queues unfinished runs again at shutdown; they are due at once, and the attempt does not count.
--
-- $1 run ids uuid[]   $2 lease ids uuid[]   $3 code text   $4 reason text
--
-- A run that is being cancelled keeps its lease; when that ends, the run is taken back as cancelled. Results are
-- deleted, because the next attempt has the same number and they would pass for its own.
WITH given_back AS (
    UPDATE agentevals.run_queue AS q
    SET
        lease_id = NULL,
        worker = NULL,
        lease_until = '-infinity',
        attempt = q.attempt - 1,
        done = NULL,
        total = NULL,
        event_seq = q.event_seq + 1
    FROM unnest($1::uuid[], $2::uuid[]) AS i (run_id, lease_id)
    WHERE q.run_id = i.run_id AND q.lease_id = i.lease_id AND NOT q.cancel_requested
    RETURNING q.run_id, q.event_seq, q.attempt
), stale AS (
    DELETE FROM agentevals.result AS r
    USING given_back AS g
    WHERE r.run_id = g.run_id
), event AS (
    INSERT INTO agentevals.run_event (run_id, seq, kind, data)
    SELECT
        run_id,
        event_seq,
        'run.requeued',
        json_build_object('attempt', attempt, 'code', $3::text, 'message', $4::text)
    FROM given_back
)
SELECT agentevals.tell_workers(0), agentevals.tell_watchers(array_agg(run_id))
FROM given_back
HAVING count(*) > 0
