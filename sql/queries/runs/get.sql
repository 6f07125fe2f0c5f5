-- The present state of a run.
--
-- $1 run id uuid
SELECT *
FROM agentevals.run_state
WHERE run_id = $1
