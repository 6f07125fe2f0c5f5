-- Unfinished runs, newest first. Like `runs/list`, but starts from the queue, so that finished runs cost nothing.
--
-- Parameters as in `runs/list`. Unfinished runs have neither verdict nor summary, so filters on those match none.
SELECT state.*
FROM agentevals.run_queue AS q
JOIN agentevals.run_state AS state ON state.run_id = q.run_id
WHERE
    ($1::text[] IS NULL OR state.status = ANY($1))
    AND ($2::text[] IS NULL OR state.verdict = ANY($2))
    AND ($3::text IS NULL OR state.labels @> $3::jsonb)
    AND ($9::text[] IS NULL OR state.eval_set_id = ANY($9))
    AND ($10::text[] IS NULL OR state.target_kind = ANY($10))
    AND ($11::text[] IS NULL OR (state.summary -> 'agents')::jsonb ?| $11)
    AND state.created_at >= coalesce($4::timestamptz, '-infinity')
    AND state.created_at < coalesce($5::timestamptz, 'infinity')
    AND (state.created_at, state.run_id) < (
        coalesce($6::timestamptz, 'infinity'), coalesce($7::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
    )
ORDER BY state.created_at DESC, state.run_id DESC
LIMIT $8
