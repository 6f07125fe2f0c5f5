-- Looks at the whole queue: whether a run is due, whether a lease has ended before its run, and in how many
-- milliseconds the next lease or wait ends.
SELECT
    coalesce(bool_or(lease_until < now() AND lease_id IS NULL), false) AS has_due,
    coalesce(bool_or(lease_until < now() AND lease_id IS NOT NULL), false) AS has_lost,
    (
        extract(EPOCH FROM min(lease_until) FILTER (WHERE lease_until >= now()) - now()) * 1000
    )::bigint AS next_due_ms
FROM agentevals.run_queue
