-- Runs, newest first.
--
-- $1 statuses text[]   $2 verdicts text[]   $3 labels text, a JSON object   $4 submitted from timestamptz
-- $5 submitted before timestamptz   $6 time timestamptz   $7 run id uuid, together the last run of the page before
-- $8 limit bigint   $9 ids of eval sets text[]   $10 kinds of targets text[]   $11 agents text[]
--
-- All but the limit may be null. The index `run_by_age` gives the order, so reading stops at the end of the page; runs
-- that the filters exclude are read on the way.
SELECT *
FROM agentevals.run_state
WHERE
    ($1::text[] IS NULL OR status = ANY($1))
    AND ($2::text[] IS NULL OR verdict = ANY($2))
    AND ($3::text IS NULL OR labels @> $3::jsonb)
    AND ($9::text[] IS NULL OR eval_set_id = ANY($9))
    AND ($10::text[] IS NULL OR target_kind = ANY($10))
    AND ($11::text[] IS NULL OR (summary -> 'agents')::jsonb ?| $11)
    AND created_at >= coalesce($4::timestamptz, '-infinity')
    AND created_at < coalesce($5::timestamptz, 'infinity')
    AND (created_at, run_id) < (
        coalesce($6::timestamptz, 'infinity'), coalesce($7::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
    )
ORDER BY created_at DESC, run_id DESC
LIMIT $8
