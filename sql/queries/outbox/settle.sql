-- Writes the outcome of an attempt to send a message.
--
-- $1 run id uuid   $2 sink smallint   $3 event integer   $4 lease id uuid   $5 state text   $6 wait in milliseconds
-- bigint, null for none   $7 HTTP status smallint   $8 error text   $9 whether the message was given back, so that the
-- attempt does not count boolean   $10 whether the messages behind it in line become dead with it boolean
--
-- The messages behind it in line get the same due time, so that claims need not walk over them while it waits. Returns
-- no row if the lease is lost.
WITH settled AS (
    UPDATE agentevals.delivery
    SET
        state = $5,
        lease_id = NULL,
        due_at = coalesce(now() + $6 * interval '1 millisecond', '-infinity'),
        attempts = attempts - CASE WHEN $9 THEN 1 ELSE 0 END,
        last_status = CASE WHEN $9 THEN last_status ELSE $7 END,
        last_error = CASE WHEN $9 THEN last_error ELSE $8 END,
        settled_at = CASE WHEN $5 <> 'pending' THEN now() END
    WHERE run_id = $1 AND sink = $2 AND event = $3 AND lease_id = $4
    RETURNING run_id, sink, event, due_at
), line AS (
    UPDATE agentevals.delivery AS d
    SET
        due_at = s.due_at,
        state = CASE WHEN $10 THEN 'dead' ELSE d.state END,
        last_error = CASE WHEN $10 THEN $8 ELSE d.last_error END,
        settled_at = CASE WHEN $10 THEN now() END
    FROM settled AS s
    WHERE
        d.run_id = s.run_id
        AND d.sink = s.sink
        AND d.event > s.event
        AND d.state = 'pending'
        AND (d.due_at <> s.due_at OR $10)
)
SELECT event
FROM settled
