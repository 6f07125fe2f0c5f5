-- Stores a group of new runs, each with its specification, its place in the queue and its first event.
--
-- The parameters are rows, column by column: $1 to $10 the runs, each id once, $11 to $16 their sinks. The calls of
-- `unnest` name the columns; a test compares them with the program.
--
-- Returns the runs that were stored; the others exist already, by id or by key. Rows are inserted into `run` in the
-- order of ids, so that two groups with the same ids cannot deadlock, and into the queue in the order of submission.
WITH input AS (
    SELECT *
    FROM unnest(
        $1::uuid[], $2::text[], $3::text[], $4::bytea[], $5::smallint[], $6::integer[], $7::smallint[], $8::text[],
        $9::text[], $10::text[]
    ) WITH ORDINALITY AS t (
        run_id, idempotency_key, document, digest, priority, deadline_s, max_attempts, labels, target_kind,
        eval_set_id, place
    )
), sink_input AS (
    SELECT *
    FROM unnest($11::uuid[], $12::smallint[], $13::text[], $14::text[], $15::integer[], $16::text[]) AS t (
        run_id, sink, kind, destination, timeout_ms, document
    )
), created AS (
    INSERT INTO agentevals.run (
        run_id, idempotency_key, priority, deadline_s, max_attempts, labels, target_kind, eval_set_id
    )
    SELECT run_id, idempotency_key, priority, deadline_s, max_attempts, labels::jsonb, target_kind, eval_set_id
    FROM input
    ORDER BY run_id
    ON CONFLICT DO NOTHING
    RETURNING run_id, created_at
), spec AS (
    INSERT INTO agentevals.run_spec (run_id, digest, document)
    SELECT i.run_id, i.digest, i.document
    FROM input AS i
    JOIN created AS c ON c.run_id = i.run_id
), queued AS (
    INSERT INTO agentevals.run_queue (rank, run_id, max_attempts, event_seq, has_sinks)
    SELECT -i.priority, i.run_id, i.max_attempts, 1, i.run_id IN (SELECT s.run_id FROM sink_input AS s)
    FROM input AS i
    JOIN created AS c ON c.run_id = i.run_id
    ORDER BY i.place
), sink AS (
    INSERT INTO agentevals.run_sink (run_id, sink, kind, destination, timeout_ms, document)
    SELECT s.run_id, s.sink, s.kind, s.destination, s.timeout_ms, s.document
    FROM sink_input AS s
    JOIN created AS c ON c.run_id = s.run_id
), event AS (
    INSERT INTO agentevals.run_event (run_id, seq, kind, data)
    SELECT run_id, 1, 'run.queued', '{}'
    FROM created
)
SELECT
    run_id,
    created_at,
    (SELECT agentevals.tell_workers(0)),
    (SELECT agentevals.tell_watchers(array_agg(run_id)) FROM created)
FROM created
