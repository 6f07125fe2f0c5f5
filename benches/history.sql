-- A million finished runs, each with a specification, a result and four events, a minute apart.
SET search_path = agentevals_bench;

CREATE TEMPORARY TABLE past AS
SELECT
    ('00000000-0000-7000-8000-' || lpad(to_hex(number), 12, '0'))::uuid AS run_id,
    now() - number * interval '1 minute' AS at
FROM generate_series(1, 1000000) AS number;

INSERT INTO run (
    run_id, created_at, priority, deadline_s, max_attempts, target_kind, outcome, verdict, attempt, summary, started_at,
    finished_at
)
SELECT run_id, at, 0, 300, 3, 'inline', 'succeeded', 'passed', 1, '{"trace_count": 1, "result_counts": {"passed": 1, "failed": 0, "errored": 0, "skipped": 0}, "per_metric": {}, "agents": [], "errors": [], "performance_metrics": null}', at, at
FROM past;

INSERT INTO run_spec (run_id, digest, document)
SELECT run_id, '\x00', '{"target": {"kind": "inline", "inline": {}}}'
FROM past;

INSERT INTO result (
    run_id, ordinal, attempt, eval_set_item_id, eval_set_item_name, evaluator_name, evaluator_type, status, score,
    per_invocation_scores, created_at
)
SELECT run_id, 0, 1, 'item', 'item', 'tool_trajectory_avg_score', 'builtin', 'passed', 1, '[1]', at
FROM past;

INSERT INTO run_event (run_id, seq, kind, at, data)
SELECT run_id, seq, kind, at, '{}'
FROM past
CROSS JOIN (
    VALUES (1, 'run.queued'), (2, 'run.started'), (3, 'result.created'), (4, 'run.succeeded')
) AS e (seq, kind);

DROP TABLE past;
ANALYZE;
