-- The milliseconds until the next lease or wait of a message ends.
SELECT ceil(extract(EPOCH FROM due_at - now()) * 1000)::bigint AS next_due_ms
FROM agentevals.delivery
WHERE state = 'pending' AND due_at >= now()
ORDER BY due_at
LIMIT 1
