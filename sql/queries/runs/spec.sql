-- A run's specification, as it was submitted.
--
-- $1 run id uuid
SELECT document
FROM agentevals.run_spec
WHERE run_id = $1
