-- Takes back runs whose lease has ended although they have not: cancelled if that was requested, failed if they are out
-- of attempts, else queued again. A run that ends keeps only the results of its last attempt. Any process does this;
-- rows that another statement has locked are skipped.
--
-- $1 code of a lost lease text   $2 its reason text   $3 code of a cancelled run text   $4 its reason text
WITH lost AS (
    SELECT
        run_id, attempt, event_seq, started_at, cancel_requested, has_sinks,
        attempt >= max_attempts AS is_last
    FROM agentevals.run_queue
    WHERE lease_until < now() AND lease_id IS NOT NULL
    ORDER BY rank, seq
    LIMIT 200
    FOR UPDATE SKIP LOCKED
), given_back AS (
    UPDATE agentevals.run_queue AS q
    SET
        lease_id = NULL,
        worker = NULL,
        lease_until = '-infinity',
        done = NULL,
        total = NULL,
        event_seq = q.event_seq + 1
    FROM lost AS l
    WHERE q.run_id = l.run_id AND NOT l.cancel_requested AND NOT l.is_last
), dropped AS (
    DELETE FROM agentevals.run_queue AS q
    USING lost AS l
    WHERE q.run_id = l.run_id AND (l.cancel_requested OR l.is_last)
), ended AS (
    UPDATE agentevals.run AS r
    SET
        outcome = CASE WHEN l.cancel_requested THEN 'cancelled' ELSE 'failed' END,
        attempt = l.attempt,
        error_code = CASE WHEN NOT l.cancel_requested THEN $1 END,
        error_message = CASE WHEN NOT l.cancel_requested THEN $2 END,
        started_at = l.started_at,
        finished_at = now(),
        cancel_requested = l.cancel_requested
    FROM lost AS l
    WHERE r.run_id = l.run_id AND (l.cancel_requested OR l.is_last)
), stale AS (
    DELETE FROM agentevals.result AS r
    USING lost AS l
    WHERE r.run_id = l.run_id AND r.attempt <> l.attempt AND (l.cancel_requested OR l.is_last)
), event AS (
    INSERT INTO agentevals.run_event (run_id, seq, kind, data)
    SELECT
        run_id,
        event_seq + 1,
        CASE WHEN cancel_requested THEN 'run.cancelled' WHEN is_last THEN 'run.failed' ELSE 'run.requeued' END,
        CASE
            WHEN cancel_requested THEN json_build_object('attempt', attempt)
            ELSE json_build_object('attempt', attempt, 'code', $1::text, 'message', $2::text)
        END
    FROM lost
), message AS (
    INSERT INTO agentevals.delivery (run_id, sink, event, phase, payload)
    SELECT
        l.run_id,
        s.sink,
        l.event_seq + 1,
        'error',
        CASE
            WHEN l.cancel_requested THEN agentevals.error_payload(l.run_id, l.attempt, $3, $4)
            ELSE agentevals.error_payload(l.run_id, l.attempt, $1, $2)
        END
    FROM lost AS l
    JOIN agentevals.run_sink AS s ON s.run_id = l.run_id
    WHERE l.has_sinks AND (l.cancel_requested OR l.is_last)
    RETURNING run_id
)
SELECT
    run_id,
    (SELECT agentevals.tell_workers(0)),
    (SELECT agentevals.tell_watchers(array_agg(run_id)) FROM lost),
    (SELECT agentevals.tell_deliverers() FROM message HAVING count(*) > 0)
FROM lost
