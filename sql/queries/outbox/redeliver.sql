-- Makes messages of a run pending again: all dead ones, or the named ones that are settled.
--
-- $1 run id uuid   $2 events integer[]   $3 sinks smallint[], together the names of messages; null for all dead ones
WITH again AS (
    UPDATE agentevals.delivery AS d
    SET state = 'pending', attempts = 0, due_at = '-infinity', settled_at = NULL
    WHERE
        d.run_id = $1
        AND CASE
            WHEN $2::integer[] IS NULL THEN d.state = 'dead'
            ELSE d.state <> 'pending' AND (d.event, d.sink) IN (
                SELECT t.event, t.sink
                FROM unnest($2::integer[], $3::smallint[]) AS t (event, sink)
            )
        END
    RETURNING d.*
)
SELECT
    a.run_id, a.event, a.sink, s.kind, s.destination, a.phase, a.state, a.attempts, a.due_at, a.last_status,
    a.last_error, a.created_at, a.settled_at, (SELECT agentevals.tell_deliverers())
FROM again AS a
JOIN agentevals.run_sink AS s ON s.run_id = a.run_id AND s.sink = a.sink
ORDER BY a.event, a.sink
