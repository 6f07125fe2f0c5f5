-- Claims due runs, by priority then age, each under a new lease.
--
-- $1 worker text   $2 limit bigint   $3 length of the lease in milliseconds bigint
--
-- The claim waits for fsync. Fencing alone would not need that, but watchers hear of the claim: if a crash undid it,
-- its transaction id and event number would be reused, and watchers would skip newer events as already seen.
WITH due AS (
    SELECT rank, seq
    FROM agentevals.run_queue
    WHERE lease_until < now() AND lease_id IS NULL
    ORDER BY rank, seq
    LIMIT $2
    FOR UPDATE SKIP LOCKED
), claimed AS (
    UPDATE agentevals.run_queue AS q
    SET
        lease_id = gen_random_uuid(),
        lease_until = now() + $3 * interval '1 millisecond',
        worker = $1,
        attempt = q.attempt + 1,
        started_at = coalesce(q.started_at, now()),
        event_seq = q.event_seq + 1
    FROM due
    WHERE q.rank = due.rank AND q.seq = due.seq
    RETURNING q.rank, q.seq, q.run_id, q.lease_id, q.attempt, q.max_attempts, q.event_seq, q.has_sinks
), event AS (
    INSERT INTO agentevals.run_event (run_id, seq, kind, data)
    SELECT run_id, event_seq, 'run.started', json_build_object('attempt', attempt, 'workerId', $1::text)
    FROM claimed
)
SELECT
    c.run_id,
    c.lease_id,
    c.attempt,
    c.max_attempts,
    r.deadline_s,
    s.document,
    c.has_sinks,
    (SELECT agentevals.tell_watchers(array_agg(run_id)) FROM claimed)
FROM claimed AS c
JOIN agentevals.run AS r ON r.run_id = c.run_id
JOIN agentevals.run_spec AS s ON s.run_id = c.run_id
ORDER BY c.rank, c.seq
