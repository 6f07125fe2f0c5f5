-- Events of runs, each after a number; by run and number.
--
-- $1 run ids uuid[]   $2 numbers integer[]   $3 how many in all
--
-- Each run is looked up by itself: a join with a limit could be planned as a walk over all events there are.
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
