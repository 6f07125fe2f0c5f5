-- In how many milliseconds the next claim of a message ends or the next wait is over, of those that have not.
SELECT ceil(extract(EPOCH FROM due_at - now()) * 1000)::bigint AS next_due_ms
FROM agentevals.delivery
WHERE state = 'pending' AND due_at >= now()
ORDER BY due_at
LIMIT 1
