-- The specification of a run, as submitted.
--
-- $1 run id uuid
SELECT document
FROM agentevals.run_spec
WHERE run_id = $1
