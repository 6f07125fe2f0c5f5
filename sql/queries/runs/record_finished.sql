-- Stores a finished run of uploaded traces, with its specification, results and events. Such a run never has a row in
-- the queue, so that no worker can claim it.
--
-- $1 run_id uuid   $2 document text   $3 digest bytea   $4 deadline_s integer   $5 eval_set_id text
-- $6 elapsed_us bigint   $7 outcome text   $8 verdict text   $9 error_code text   $10 error_message text
-- $11 summary text
-- The other parameters are rows, column by column: $12 to $25 results, $26 to $28 events, numbered from 1. The calls of
-- `unnest` name the columns; a test compares all names with the program.
--
-- Does nothing when it is repeated because its answer was lost. The start of the run is now minus the time it took.
WITH created AS (
    INSERT INTO agentevals.run (
        run_id, created_at, priority, deadline_s, max_attempts, target_kind, eval_set_id, outcome, verdict, attempt,
        error_code, error_message, summary, started_at, finished_at
    )
    SELECT
        $1, began_at, 0, $4, 1, 'uploaded', $5, $7, $8, 1, $9, $10, $11::json, began_at, now()
    FROM (VALUES (now() - $6::bigint * interval '1 microsecond')) AS t (began_at)
    ON CONFLICT DO NOTHING
    RETURNING run_id, started_at
), spec AS (
    INSERT INTO agentevals.run_spec (run_id, digest, document)
    SELECT run_id, $3, $2
    FROM created
), stored AS (
    INSERT INTO agentevals.result (
        run_id, ordinal, attempt, eval_set_item_id, eval_set_item_name, eval_case_id, evaluator_name,
        evaluator_type, status, score, per_invocation_scores, trace_id, span_id, details, error_text, latency_ms
    )
    SELECT
        c.run_id, i.ordinal, 1, i.eval_set_item_id, i.eval_set_item_name, i.eval_case_id, i.evaluator_name,
        i.evaluator_type, i.status, i.score, i.per_invocation_scores::json, i.trace_id, i.span_id, i.details::json,
        i.error_text, i.latency_ms
    FROM created AS c
    CROSS JOIN unnest(
        $12::integer[], $13::text[], $14::text[], $15::text[], $16::text[], $17::text[], $18::text[],
        $19::double precision[], $20::text[], $21::text[], $22::text[], $23::text[], $24::text[], $25::bigint[]
    ) AS i (
        ordinal, eval_set_item_id, eval_set_item_name, eval_case_id, evaluator_name, evaluator_type, status, score,
        per_invocation_scores, trace_id, span_id, details, error_text, latency_ms
    )
), event AS (
    INSERT INTO agentevals.run_event (run_id, seq, kind, at, data)
    SELECT c.run_id, i.number, i.kind, CASE i.kind WHEN 'run.started' THEN c.started_at ELSE now() END, i.data::json
    FROM created AS c
    CROSS JOIN unnest($26::integer[], $27::text[], $28::text[]) AS i (number, kind, data)
)
SELECT agentevals.tell_watchers(ARRAY[run_id])
FROM created
