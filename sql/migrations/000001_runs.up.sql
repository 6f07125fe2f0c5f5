-- Durable runs.
--
-- Hot rows are small and apart from cold ones: `run_queue` has one narrow row per unfinished run and takes every claim
-- and heartbeat; `run` is written at submission and at the end. The status of an unfinished run is not stored but
-- derived from its row in the queue (view `run_state`), so that claims and re-queueing write to the queue only.
--
-- There are no foreign keys: the rows of a run are inserted together and deleted together, and a check per result and
-- event would cost as much as the insert itself.

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
    -- How the run ended; null while it is in the queue.
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
    -- Uploaded traces are evaluated before their run is stored, and are not kept: there is nothing to queue.
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

-- For lists, newest first, with pages by (created_at, run_id); and for the deletion of old runs.
CREATE INDEX run_by_age ON agentevals.run (created_at DESC, run_id DESC);

CREATE UNIQUE INDEX run_idempotency_key ON agentevals.run (idempotency_key)
WHERE idempotency_key IS NOT NULL;

CREATE TABLE agentevals.run_spec (
    run_id uuid PRIMARY KEY,
    digest bytea NOT NULL,
    -- JSON as text: no query looks inside, and writing jsonb costs four times as much.
    document text COMPRESSION lz4 NOT NULL
);

COMMENT ON COLUMN agentevals.run_spec.digest IS 'SHA-256 of the canonical form: the same digest is the same work';

CREATE TABLE agentevals.run_queue (
    -- The negative priority, so that the primary key is in claim order.
    rank smallint NOT NULL,
    seq bigint GENERATED ALWAYS AS IDENTITY,
    run_id uuid NOT NULL,
    -- The run cannot be claimed before this time, the end of its lease or back-off. Once it has passed, the run is due,
    -- or with a lease id abandoned.
    lease_until timestamptz NOT NULL DEFAULT '-infinity',
    -- New for each claim. Every write of a worker names it, so that a worker that lost its lease can write nothing.
    lease_id uuid,
    worker text,
    attempt smallint NOT NULL DEFAULT 0,
    max_attempts smallint NOT NULL,
    cancel_requested boolean NOT NULL DEFAULT false,
    -- Whether the run has sinks; saves a look into `run_sink` for the many that have none.
    has_sinks boolean NOT NULL DEFAULT false,
    started_at timestamptz,
    -- Number of the run's latest event. Statements that append events lock this row, so numbers have no gaps.
    event_seq integer NOT NULL,
    -- Id of the latest write under this lease. A write is repeated if its answer was lost; this shows that it was done.
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
    -- Claims, heartbeats and retries change no indexed column. With room on the page they are HOT updates, whose dead
    -- versions are pruned by the next access to the page.
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
    -- Orders events over all runs. Numbers from a sequence would commit out of order; with transaction ids, everything
    -- older than the oldest running transaction is complete.
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

-- The present state of runs: the only place that derives the status of an unfinished run.
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

-- Hints. A transaction that notified locks the whole database while it commits, so statements work on groups of runs
-- and notify once. Payloads are limited to 8,000 bytes; a longer list of ids becomes `*`, which means any run.

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
