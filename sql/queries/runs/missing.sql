-- The ids that no run has.
--
-- $1 run ids uuid[]
SELECT i.run_id
FROM unnest($1::uuid[]) AS i (run_id)
WHERE NOT EXISTS (SELECT FROM agentevals.run AS r WHERE r.run_id = i.run_id)
