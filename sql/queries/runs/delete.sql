-- Deletes finished runs with all that belongs to them: one that is named, or those that are old, oldest first.
--
-- $1 run id uuid, or null   $2 milliseconds since their end bigint, or null   $3 how many old ones bigint
--
-- Returns the runs deleted. One table, one `DELETE`: a table about runs that comes later gets one too.
--
-- A run is not younger than its end, so that the index `run_by_age` gives the order and where to stop although ends have
-- none: an index on them would make every end of a run more expensive. Passed over are old runs that ended late,
-- those with messages on their way to sinks, and those that another statement has in hand.
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
