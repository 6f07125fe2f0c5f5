-- Writes what workers have to say about runs they hold: results, progress, endings, events. One commit for a group.
--
-- Runs: $1 run ids uuid[], each once   $2 lease ids uuid[]   $3 numbers of events integer[]   $4, $5 units done and
-- in all integer[], null for no news   $6 outcomes text[], null while the run goes on   $7 verdicts text[]   $8, $9 code and text of
-- failures text[]   $10 summaries text[] of JSON
-- Results: $11 run ids uuid[]   $12 ordinals integer[]   $13 item ids   $14 item names   $15 eval case ids
-- $16 evaluators   $17 evaluator types   $18 statuses text[]   $19 scores double precision[]   $20 scores per turn
-- text[] of JSON   $21 trace ids   $22 span ids text[]   $23 details text[] of JSON   $24 errors text[]
-- $25 latencies in milliseconds bigint[]
-- Events: $26 run ids uuid[]   $27 numbers from 1 within the group integer[]   $28 kinds text[]   $29 data text[] of
-- JSON
--
-- Everything is fenced: nothing is written about a run whose lease is not held any more. Returns the runs written
-- about. When an attempt ends, results of earlier ones that it did not write anew are removed.
WITH input AS (
    SELECT *
    FROM unnest(
        $1::uuid[], $2::uuid[], $3::integer[], $4::integer[], $5::integer[], $6::text[], $7::text[], $8::text[],
        $9::text[], $10::text[]
    ) AS t (
        run_id, lease_id, events, done, total, outcome, verdict, error_code, error_message, summary
    )
), result_input AS (
    SELECT *
    FROM unnest(
        $11::uuid[], $12::integer[], $13::text[], $14::text[], $15::text[], $16::text[], $17::text[], $18::text[],
        $19::double precision[], $20::text[], $21::text[], $22::text[], $23::text[], $24::text[], $25::bigint[]
    ) AS t (
        run_id, ordinal, eval_set_item_id, eval_set_item_name, eval_case_id, evaluator_name, evaluator_type, status,
        score, per_invocation_scores, trace_id, span_id, details, error_text, latency_ms
    )
), ended AS (
    DELETE FROM agentevals.run_queue AS q
    USING input AS i
    WHERE q.run_id = i.run_id AND q.lease_id = i.lease_id AND i.outcome IS NOT NULL
    RETURNING
        q.run_id, q.event_seq, q.attempt, q.started_at, q.cancel_requested, i.outcome, i.verdict, i.error_code,
        i.error_message, i.summary
), moved AS (
    UPDATE agentevals.run_queue AS q
    SET
        event_seq = q.event_seq + i.events,
        done = coalesce(i.done, q.done),
        total = coalesce(i.total, q.total)
    FROM input AS i
    WHERE q.run_id = i.run_id AND q.lease_id = i.lease_id AND i.outcome IS NULL
    RETURNING q.run_id, q.event_seq - i.events AS event_seq, q.attempt
), held AS (
    SELECT run_id, event_seq, attempt FROM ended
    UNION ALL
    SELECT run_id, event_seq, attempt FROM moved
), finished AS (
    UPDATE agentevals.run AS r
    SET
        outcome = e.outcome,
        verdict = e.verdict,
        attempt = e.attempt,
        error_code = e.error_code,
        error_message = e.error_message,
        summary = e.summary::json,
        started_at = e.started_at,
        finished_at = now(),
        cancel_requested = e.cancel_requested OR e.outcome = 'cancelled'
    FROM ended AS e
    WHERE r.run_id = e.run_id
), stale AS (
    DELETE FROM agentevals.result AS r
    USING ended AS e
    WHERE
        r.run_id = e.run_id
        AND e.attempt > 1
        AND r.attempt <> e.attempt
        AND NOT EXISTS (
            SELECT FROM result_input AS i WHERE i.run_id = r.run_id AND i.ordinal = r.ordinal
        )
), stored AS (
    INSERT INTO agentevals.result (
        run_id, ordinal, attempt, eval_set_item_id, eval_set_item_name, eval_case_id, evaluator_name,
        evaluator_type, status, score, per_invocation_scores, trace_id, span_id, details, error_text, latency_ms
    )
    SELECT
        i.run_id, i.ordinal, h.attempt, i.eval_set_item_id, i.eval_set_item_name, i.eval_case_id, i.evaluator_name,
        i.evaluator_type, i.status, i.score, i.per_invocation_scores::json, i.trace_id, i.span_id, i.details::json,
        i.error_text, i.latency_ms
    FROM result_input AS i
    JOIN held AS h ON h.run_id = i.run_id
    ON CONFLICT (run_id, ordinal) DO UPDATE SET
        attempt = excluded.attempt,
        eval_set_item_id = excluded.eval_set_item_id,
        eval_set_item_name = excluded.eval_set_item_name,
        eval_case_id = excluded.eval_case_id,
        evaluator_name = excluded.evaluator_name,
        evaluator_type = excluded.evaluator_type,
        status = excluded.status,
        score = excluded.score,
        per_invocation_scores = excluded.per_invocation_scores,
        trace_id = excluded.trace_id,
        span_id = excluded.span_id,
        details = excluded.details,
        error_text = excluded.error_text,
        latency_ms = excluded.latency_ms,
        created_at = excluded.created_at
), event AS (
    INSERT INTO agentevals.run_event (run_id, seq, kind, data)
    SELECT i.run_id, h.event_seq + i.number, i.kind, i.data::json
    FROM unnest($26::uuid[], $27::integer[], $28::text[], $29::text[]) AS i (run_id, number, kind, data)
    JOIN held AS h ON h.run_id = i.run_id
)
SELECT run_id, (SELECT agentevals.tell_watchers(array_agg(run_id)) FROM held)
FROM held
