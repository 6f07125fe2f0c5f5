-- Events of all runs after a position, in order.
--
-- $1, $2, $3 transaction text, run id uuid and number integer of the position   $4 how many
--
-- Only what older transactions can no longer come before is final; the rest is withheld, and its being there is told by
-- a row that is not.
SELECT
    e.transaction::text,
    e.run_id,
    e.seq,
    e.kind,
    e.at,
    e.data::text,
    r.labels::text,
    e.transaction < pg_snapshot_xmin(pg_current_snapshot()) AS is_final
FROM agentevals.run_event AS e
JOIN agentevals.run AS r ON r.run_id = e.run_id
WHERE (e.transaction, e.run_id, e.seq) > ($1::xid8, $2, $3)
ORDER BY e.transaction, e.run_id, e.seq
LIMIT $4
