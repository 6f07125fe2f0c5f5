-- Deletes finished runs with all their rows: the named one, or old ones, oldest first.
--
-- $1 run id uuid, or null   $2 milliseconds since the end bigint, or null   $3 limit of old runs bigint
--
-- Returns the deleted runs. Every table with rows of runs has a `DELETE` here; a new one needs one too.
--
-- A run is created before it ends, so the index `run_by_age` finds all candidates. There is no index on the end, which
-- would make every end of a run more expensive. Skipped are runs that ended too late, runs with pending messages, and
-- runs that another statement has locked.
WITH named AS (
    SELECT run_id
    FROM agentevals.run
    WHERE run_id = $1 AND outcome IS NOT NULL
    FOR UPDATE
), old AS (
    SELECT run_id
    FROM agentevals.run AS r
    WHERE
        created_at < now() - $2 * interval '1 millisecond'
        AND finished_at < now() - $2 * interval '1 millisecond'
        AND NOT EXISTS (SELECT FROM agentevals.delivery AS d WHERE d.run_id = r.run_id AND d.state = 'pending')
    ORDER BY created_at, run_id
    LIMIT $3
    FOR UPDATE SKIP LOCKED
), target AS (
    SELECT run_id FROM named
    UNION ALL
    SELECT run_id FROM old
), spec AS (
    DELETE FROM agentevals.run_spec AS s
    USING target AS t
    WHERE s.run_id = t.run_id
), result AS (
    DELETE FROM agentevals.result AS r
    USING target AS t
    WHERE r.run_id = t.run_id
), event AS (
    DELETE FROM agentevals.run_event AS e
    USING target AS t
    WHERE e.run_id = t.run_id
), sink AS (
    DELETE FROM agentevals.run_sink AS s
    USING target AS t
    WHERE s.run_id = t.run_id
), message AS (
    DELETE FROM agentevals.delivery AS d
    USING target AS t
    WHERE d.run_id = t.run_id
), deleted AS (
    DELETE FROM agentevals.run AS r
    USING target AS t
    WHERE r.run_id = t.run_id
    RETURNING r.run_id
)
SELECT run_id, (SELECT agentevals.tell_watchers(array_agg(run_id)) FROM deleted)
FROM deleted
