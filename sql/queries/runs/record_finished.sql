-- Stores a finished run of uploaded traces, with its specification, results and events. Such a run never has a row in
-- the queue, so that no worker can claim it.
--
-- $1 run id uuid   $2 specification text   $3 digest bytea   $4 deadline in seconds integer   $5 id of the eval set
-- text   $6 microseconds that it took bigint   $7 outcome text   $8 verdict text   $9, $10 code and text of the
-- failure text   $11 summary text of JSON
-- Results: $12 ordinals integer[]   $13 item ids   $14 item names   $15 eval case ids   $16 evaluators
-- $17 evaluator types   $18 statuses text[]   $19 scores double precision[]   $20 scores per turn text[] of JSON
-- $21 trace ids   $22 span ids text[]   $23 details text[] of JSON   $24 errors text[]
-- $25 latencies in milliseconds bigint[]
-- Events: $26 numbers from 1 integer[]   $27 kinds text[]   $28 data text[] of JSON
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
