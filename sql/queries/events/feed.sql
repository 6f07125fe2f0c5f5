-- Events of all runs after a position, in order.
--
-- $1 transaction text   $2 run id uuid   $3 number integer, together the position   $4 limit bigint
--
-- An event is final if no running transaction can still commit an earlier one. The caller must not show the others yet;
-- they are returned to show that there will be more.
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
