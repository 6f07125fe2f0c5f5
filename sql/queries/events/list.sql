-- The events of each run after a given number, by run and number.
--
-- $1 run ids uuid[]   $2 numbers integer[]   $3 limit over all runs bigint
--
-- Lateral, because the planner may walk the whole table of events for a plain join with a limit.
SELECT i.run_id, e.seq, e.kind, e.at, e.data
FROM unnest($1::uuid[], $2::integer[]) AS i (run_id, after)
CROSS JOIN LATERAL (
    SELECT seq, kind, at, data::text AS data
    FROM agentevals.run_event
    WHERE run_id = i.run_id AND seq > i.after
    ORDER BY seq
    LIMIT $3
) AS e
ORDER BY i.run_id, e.seq
LIMIT $3
