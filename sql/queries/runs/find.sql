-- Finds runs by id or by idempotency key, to compare a submission with the stored run.
--
-- $1 run ids uuid[]   $2 idempotency keys text[]
SELECT state.*, r.idempotency_key, s.digest
FROM (
    SELECT run_id, idempotency_key FROM agentevals.run WHERE run_id = ANY($1::uuid[])
    UNION
    SELECT run_id, idempotency_key FROM agentevals.run WHERE idempotency_key = ANY($2::text[])
) AS r
JOIN agentevals.run_spec AS s ON s.run_id = r.run_id
JOIN agentevals.run_state AS state ON state.run_id = r.run_id
