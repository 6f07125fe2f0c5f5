-- Writes results, progress, endings, events and messages of runs under their leases; a group of runs in one commit.
--
-- The parameters are rows, column by column: $1 to $11 the runs, $12 to $26 results, $27 to $30 events, $31 to $34
-- messages to sinks. The calls of `unnest` name the columns; a test compares them with the program. A run stands once
-- among the runs, with `events`, the number of its events. `done` and `total` are null for no news, `outcome` is null
-- while the run goes on. `number` counts the events of a run in this group from 1; a message has that of its event.
--
-- Everything is fenced: nothing is written about a run whose lease is lost. A write that is repeated because its answer
-- was lost takes effect once. Returns the runs that were written. When an attempt ends, results of earlier attempts
-- that it did not overwrite are deleted.
WITH input AS (
    SELECT *
    FROM unnest(
        $1::uuid[], $2::uuid[], $3::uuid[], $4::integer[], $5::integer[], $6::integer[], $7::text[], $8::text[],
        $9::text[], $10::text[], $11::text[]
    ) AS t (
        run_id, lease_id, write_id, events, done, total, outcome, verdict, error_code, error_message, summary
    )
), result_input AS (
    SELECT *
    FROM unnest(
        $12::uuid[], $13::integer[], $14::text[], $15::text[], $16::text[], $17::text[], $18::text[], $19::text[],
        $20::double precision[], $21::text[], $22::text[], $23::text[], $24::text[], $25::text[], $26::bigint[]
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
        last_write = i.write_id,
        event_seq = q.event_seq + i.events,
        done = coalesce(i.done, q.done),
        total = coalesce(i.total, q.total)
    FROM input AS i
    WHERE
        q.run_id = i.run_id
        AND q.lease_id = i.lease_id
        AND i.outcome IS NULL
        AND q.last_write IS DISTINCT FROM i.write_id
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
    FROM unnest($27::uuid[], $28::integer[], $29::text[], $30::text[]) AS i (run_id, number, kind, data)
    JOIN held AS h ON h.run_id = i.run_id
), message AS (
    INSERT INTO agentevals.delivery (run_id, sink, event, phase, payload)
    SELECT i.run_id, s.sink, h.event_seq + i.number, i.phase, i.payload
    FROM unnest($31::uuid[], $32::integer[], $33::text[], $34::text[]) AS i (run_id, number, phase, payload)
    JOIN held AS h ON h.run_id = i.run_id
    JOIN agentevals.run_sink AS s ON s.run_id = i.run_id
    RETURNING run_id
)
SELECT
    run_id,
    (SELECT agentevals.tell_watchers(array_agg(run_id)) FROM held),
    (SELECT agentevals.tell_deliverers() FROM message HAVING count(*) > 0)
FROM (
    SELECT run_id FROM held
    UNION ALL
    SELECT q.run_id
    FROM input AS i
    JOIN agentevals.run_queue AS q
        ON q.run_id = i.run_id AND q.lease_id = i.lease_id AND q.last_write = i.write_id
    WHERE i.outcome IS NULL
) AS written
