-- Messages of a run, by event, then by sink, without their payloads.
--
-- $1 run id uuid   $2 event integer   $3 sink integer, together the last message of the page before   $4 limit bigint
SELECT
    d.run_id, d.event, d.sink, s.kind, s.destination, d.phase, d.state, d.attempts, d.due_at, d.last_status,
    d.last_error, d.created_at, d.settled_at
FROM agentevals.delivery AS d
JOIN agentevals.run_sink AS s ON s.run_id = d.run_id AND s.sink = d.sink
WHERE d.run_id = $1 AND (d.event, d.sink) > ($2, $3)
ORDER BY d.event, d.sink
LIMIT $4
