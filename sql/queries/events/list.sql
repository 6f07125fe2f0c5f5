-- Events of runs, each after a number; by run and number.
--
-- $1 run ids uuid[]   $2 numbers integer[]   $3 how many in all
SELECT e.run_id, e.seq, e.kind, e.at, e.data::text
FROM unnest($1::uuid[], $2::integer[]) AS i (run_id, after)
JOIN agentevals.run_event AS e ON e.run_id = i.run_id AND e.seq > i.after
ORDER BY e.run_id, e.seq
LIMIT $3
