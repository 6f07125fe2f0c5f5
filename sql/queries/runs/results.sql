-- Results of a run, by ordinal.
--
-- $1 run id uuid   $2 statuses text[] or null   $3 evaluators text[] or null   $4 ordinal of the last result of the
-- page before integer   $5 limit bigint   $6 eval cases text[] or null
SELECT
    ordinal, attempt, eval_set_item_id, eval_set_item_name, eval_case_id, evaluator_name, evaluator_type, status,
    score, per_invocation_scores::text, trace_id, span_id, details::text, error_text, latency_ms, created_at
FROM agentevals.result
WHERE
    run_id = $1
    AND ($2::text[] IS NULL OR status = ANY($2))
    AND ($3::text[] IS NULL OR evaluator_name = ANY($3))
    AND ($6::text[] IS NULL OR eval_case_id = ANY($6))
    AND ordinal > $4
ORDER BY ordinal
LIMIT $5
