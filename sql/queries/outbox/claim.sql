-- Claims due messages, the longest due first, each under a new lease.
--
-- $1 limit bigint   $2 length of a lease beyond the sink's timeout in milliseconds bigint   $3 busy destinations text[]
-- $4 further messages that each of them may take bigint[]   $5 messages that any other destination may take bigint
--
-- Of each run and sink only the first pending message is claimed. Destinations that may take none are skipped before
-- the limit applies, so that a slow one does not keep the others waiting.
WITH busy AS (
    SELECT destination, room
    FROM unnest($3::text[], $4::bigint[]) AS t (destination, room)
), due AS (
    SELECT d.run_id, d.sink, d.event, d.due_at, s.destination, s.timeout_ms
    FROM agentevals.delivery AS d
    JOIN agentevals.run_sink AS s ON s.run_id = d.run_id AND s.sink = d.sink
    WHERE
        d.state = 'pending'
        AND d.due_at < now()
        AND NOT EXISTS (
            SELECT
            FROM agentevals.delivery AS earlier
            WHERE
                earlier.run_id = d.run_id
                AND earlier.sink = d.sink
                AND earlier.event < d.event
                AND earlier.state = 'pending'
        )
        AND NOT EXISTS (SELECT FROM busy WHERE busy.destination = s.destination AND busy.room = 0)
    ORDER BY d.due_at
    LIMIT $1 * 4
    FOR UPDATE OF d SKIP LOCKED
), ranked AS (
    SELECT
        due.*,
        coalesce(busy.room, $5) AS room,
        row_number() OVER (PARTITION BY due.destination ORDER BY due.due_at, due.event) AS place
    FROM due
    LEFT JOIN busy ON busy.destination = due.destination
), chosen AS (
    SELECT run_id, sink, event, timeout_ms
    FROM ranked
    WHERE place <= room
    ORDER BY due_at, event
    LIMIT $1
), claimed AS (
    UPDATE agentevals.delivery AS d
    SET
        lease_id = gen_random_uuid(),
        due_at = now() + (c.timeout_ms + $2) * interval '1 millisecond',
        attempts = d.attempts + 1
    FROM chosen AS c
    WHERE d.run_id = c.run_id AND d.sink = c.sink AND d.event = c.event
    RETURNING d.run_id, d.sink, d.event, d.lease_id, d.attempts, d.phase, d.payload
)
SELECT
    c.run_id, c.sink, c.event, c.lease_id, c.attempts, c.phase, c.payload,
    s.kind, s.destination, s.timeout_ms, s.document
FROM claimed AS c
JOIN agentevals.run_sink AS s ON s.run_id = c.run_id AND s.sink = c.sink
ORDER BY c.run_id, c.sink
