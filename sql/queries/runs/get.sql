-- A run as it stands.
--
-- $1 run id uuid
SELECT *
FROM agentevals.run_state
WHERE run_id = $1
