-- Durable runs.
--
-- What is hot is small and apart from what is cold: `run_queue` has one narrow row per unfinished run and takes every
-- claim and heartbeat; `run` is written at submission and at the end. An unfinished run's status is not stored but
-- follows from its row in the queue (view `run_state`), so that claiming and re-queueing touch the queue alone.
--
-- There are no foreign keys: the rows of a run are inserted by one statement, nothing deletes them apart, and a check
-- per result and event would cost as much as the insert itself.

CREATE TABLE agentevals.run (
    run_id uuid PRIMARY KEY,
    created_at timestamptz NOT NULL DEFAULT now(),
    idempotency_key text,
    priority smallint NOT NULL,
    deadline_s integer NOT NULL,
    max_attempts smallint NOT NULL,
    labels jsonb NOT NULL DEFAULT '{}',
    target_kind text NOT NULL,
    eval_set_id text,
    -- The end; null while the run is in the queue.
    outcome text,
    verdict text,
    attempt smallint,
    error_code text,
    error_message text,
    summary json,
    started_at timestamptz,
    finished_at timestamptz,
    cancel_requested boolean NOT NULL DEFAULT false,
    CONSTRAINT run_priority_in_range CHECK (priority BETWEEN -100 AND 100),
    CONSTRAINT run_deadline_is_positive CHECK (deadline_s > 0),
    CONSTRAINT run_max_attempts_is_positive CHECK (max_attempts > 0),
    CONSTRAINT run_target_kind_is_known CHECK (target_kind IN ('inline', 'http', 'uploaded')),
    -- Uploaded traces are evaluated at once and not kept: such a run is over when it is stored.
    CONSTRAINT run_uploaded_is_over CHECK (target_kind <> 'uploaded' OR outcome IS NOT NULL),
    CONSTRAINT run_outcome_is_known CHECK (outcome IN ('succeeded', 'failed', 'cancelled')),
    CONSTRAINT run_verdict_is_known CHECK (verdict IN ('passed', 'failed', 'errored')),
    CONSTRAINT run_finished_with_outcome CHECK ((outcome IS NULL) = (finished_at IS NULL)),
    CONSTRAINT run_attempt_with_outcome CHECK ((outcome IS NULL) = (attempt IS NULL)),
    CONSTRAINT run_succeeded_with_verdict CHECK (
        (outcome IS NOT DISTINCT FROM 'succeeded') = (verdict IS NOT NULL)
    ),
    CONSTRAINT run_failed_with_error CHECK (
        (outcome IS NOT DISTINCT FROM 'failed') = (error_code IS NOT NULL)
    )
) WITH (fillfactor = 70); -- room for the one update at the end, which touches no index

COMMENT ON TABLE agentevals.run IS 'One row per run: as submitted, and how it ended';
COMMENT ON COLUMN agentevals.run.eval_set_id IS 'Id of the golden, as it names itself';
COMMENT ON COLUMN agentevals.run.attempt IS 'How often it was claimed until it ended';
COMMENT ON COLUMN agentevals.run.started_at IS 'First claim; null when it was cancelled before';

-- Lists: newest first, keyset over (created_at, run_id).
CREATE INDEX run_by_age ON agentevals.run (created_at DESC, run_id DESC);

CREATE UNIQUE INDEX run_idempotency_key ON agentevals.run (idempotency_key)
WHERE idempotency_key IS NOT NULL;

CREATE TABLE agentevals.run_spec (
    run_id uuid PRIMARY KEY,
    digest bytea NOT NULL,
    -- JSON as text: nothing queries inside, and jsonb would cost four times as much to write.
    document text COMPRESSION lz4 NOT NULL
);

COMMENT ON COLUMN agentevals.run_spec.digest IS 'SHA-256 of the canonical form: the same digest is the same work';

CREATE TABLE agentevals.run_queue (
    -- Minus the priority, so that ascending order is claim order.
    rank smallint NOT NULL,
    seq bigint GENERATED ALWAYS AS IDENTITY,
    run_id uuid NOT NULL,
    -- Until when nobody may claim the run: the end of a lease or of a back-off. Earlier than now: due or abandoned.
    lease_until timestamptz NOT NULL DEFAULT '-infinity',
    -- New for each claim. Every write of a worker names it; whoever lost the lease can write nothing.
    lease_id uuid,
    worker text,
    attempt smallint NOT NULL DEFAULT 0,
    max_attempts smallint NOT NULL,
    cancel_requested boolean NOT NULL DEFAULT false,
    -- Whether sinks are to be told of the run, so that the others cost nothing.
    has_sinks boolean NOT NULL DEFAULT false,
    started_at timestamptz,
    -- Number of the run's latest event. Whoever appends events holds this row, so numbers have no gaps.
    event_seq integer NOT NULL,
    -- Id of the latest write under this lease: one that is repeated, because its answer was lost, is done once.
    last_write uuid,
    done integer,
    total integer,
    PRIMARY KEY (rank, seq),
    CONSTRAINT run_queue_run_id UNIQUE (run_id),
    CONSTRAINT run_queue_lease_has_holder CHECK ((lease_id IS NULL) = (worker IS NULL)),
    CONSTRAINT run_queue_leased_was_started CHECK (lease_id IS NULL OR started_at IS NOT NULL),
    -- A queued run is cancelled at once; only a running one waits for its worker.
    CONSTRAINT run_queue_cancel_needs_lease CHECK (lease_id IS NOT NULL OR NOT cancel_requested)
) WITH (
    -- Claims, heartbeats and retries touch no indexed column: with room on the page they are HOT updates, and dead
    -- versions are pruned in passing.
    fillfactor = 50,
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 2000,
    autovacuum_vacuum_cost_delay = 0
);

COMMENT ON TABLE agentevals.run_queue IS 'One row per unfinished run; deleted when it ends';

CREATE TABLE agentevals.result (
    run_id uuid NOT NULL,
    -- By evaluation unit, then by evaluator.
    ordinal integer NOT NULL,
    attempt smallint NOT NULL,
    eval_set_item_id text NOT NULL,
    eval_set_item_name text NOT NULL,
    eval_case_id text,
    evaluator_name text NOT NULL,
    evaluator_type text NOT NULL,
    status text NOT NULL,
    score double precision,
    per_invocation_scores json NOT NULL,
    trace_id text,
    span_id text,
    -- json, not jsonb: user JSON stays as the user wrote it.
    details json,
    error_text text,
    latency_ms bigint,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (run_id, ordinal),
    CONSTRAINT result_evaluator_type_is_known CHECK (evaluator_type IN ('builtin', 'code', 'remote')),
    CONSTRAINT result_status_is_known CHECK (status IN ('passed', 'failed', 'errored', 'skipped'))
);

COMMENT ON TABLE agentevals.result IS 'One row per evaluation unit and evaluator, of the latest attempt that wrote any';

CREATE TABLE agentevals.run_event (
    run_id uuid NOT NULL,
    -- From 1 without gaps.
    seq integer NOT NULL,
    kind text NOT NULL,
    at timestamptz NOT NULL DEFAULT now(),
    data json NOT NULL,
    -- Order over all runs: numbers from a sequence commit out of order, but no transaction older than the oldest one
    -- still running can add a row.
    transaction xid8 NOT NULL DEFAULT pg_current_xact_id(),
    PRIMARY KEY (run_id, seq),
    CONSTRAINT run_event_kind_is_known CHECK (
        kind IN (
            'run.queued', 'run.started', 'run.progress', 'result.created', 'run.requeued',
            'run.succeeded', 'run.failed', 'run.cancelled'
        )
    )
);

COMMENT ON TABLE agentevals.run_event IS 'What happened to runs; append-only';

CREATE INDEX run_event_feed ON agentevals.run_event (transaction, run_id, seq);

-- A run as it stands: the one place that says what status an unfinished run has.
CREATE VIEW agentevals.run_state AS
SELECT
    r.run_id,
    coalesce(r.outcome, CASE WHEN q.lease_id IS NULL THEN 'queued' ELSE 'running' END) AS status,
    r.verdict,
    coalesce(r.attempt, q.attempt) AS attempt,
    r.max_attempts,
    r.priority,
    r.deadline_s,
    r.labels,
    r.target_kind,
    r.eval_set_id,
    q.worker,
    q.done,
    q.total,
    r.error_code,
    r.error_message,
    r.summary,
    r.created_at,
    coalesce(r.started_at, q.started_at) AS started_at,
    r.finished_at,
    coalesce(q.cancel_requested, r.cancel_requested) AS cancel_requested
FROM agentevals.run AS r
LEFT JOIN agentevals.run_queue AS q ON q.run_id = r.run_id;

-- Hints. NOTIFY takes a lock on the whole database while its transaction commits, so statements work on groups and
-- hint once. Payloads are limited to 8,000 bytes: more ids than fit become `*`, which means any run.

CREATE FUNCTION agentevals.tell_watchers(run_ids uuid[]) RETURNS void
LANGUAGE sql AS $$
    SELECT pg_notify(
        'agentevals:events',
        CASE WHEN cardinality(run_ids) <= 200 THEN array_to_string(run_ids, ',') ELSE '*' END
    )
$$;

COMMENT ON FUNCTION agentevals.tell_watchers IS 'Hints that these runs have new events';

CREATE FUNCTION agentevals.tell_workers(delay_ms bigint) RETURNS void
LANGUAGE sql AS $$
    SELECT pg_notify('agentevals:due', delay_ms::text)
$$;

COMMENT ON FUNCTION agentevals.tell_workers IS 'Hints that a run can be claimed after this time';
