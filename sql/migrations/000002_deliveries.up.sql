-- The outbox: messages to the sinks of runs.
--
-- The statement that changes a run also writes the messages about the change, so that neither exists without the other.
-- Any process with workers sends them afterwards, in the order of the run's events: of each sink only the first pending
-- message can be claimed, and the messages behind it wait as long as it does.
--
-- There are no foreign keys, for the same reasons as in the migration of runs.

CREATE TABLE agentevals.run_sink (
    run_id uuid NOT NULL,
    -- Index in the specification, from 0.
    sink smallint NOT NULL,
    kind text NOT NULL,
    -- The target without secrets. The messages that are on the way to one destination are limited.
    destination text NOT NULL,
    timeout_ms integer NOT NULL,
    -- JSON: the sink as submitted, and the credential references it may name. So sending a message needs no
    -- specification, which may be large.
    document text COMPRESSION lz4 NOT NULL,
    PRIMARY KEY (run_id, sink),
    CONSTRAINT run_sink_kind_is_known CHECK (kind IN ('stdout', 'file', 'http_webhook')),
    CONSTRAINT run_sink_timeout_is_positive CHECK (timeout_ms > 0)
);

COMMENT ON TABLE agentevals.run_sink IS 'One row per sink of a run; none for most runs';

CREATE TABLE agentevals.delivery (
    run_id uuid NOT NULL,
    sink smallint NOT NULL,
    -- Number of the event that the message is about. Run, sink and event identify the message over all attempts.
    event integer NOT NULL,
    phase text NOT NULL,
    -- JSON as text, sent unchanged.
    payload text COMPRESSION lz4 NOT NULL,
    state text NOT NULL DEFAULT 'pending',
    attempts integer NOT NULL DEFAULT 0,
    -- The message cannot be claimed before this time, the end of its lease or wait. The pending messages behind it in
    -- line have the same time.
    due_at timestamptz NOT NULL DEFAULT '-infinity',
    -- New for each claim; the statement that settles the message names it.
    lease_id uuid,
    last_status smallint,
    last_error text,
    created_at timestamptz NOT NULL DEFAULT now(),
    settled_at timestamptz,
    PRIMARY KEY (run_id, sink, event),
    CONSTRAINT delivery_phase_is_known CHECK (phase IN ('partial', 'final', 'error')),
    CONSTRAINT delivery_state_is_known CHECK (state IN ('pending', 'delivered', 'dead')),
    CONSTRAINT delivery_settled_unless_pending CHECK ((state = 'pending') = (settled_at IS NULL)),
    CONSTRAINT delivery_claimed_while_pending CHECK (lease_id IS NULL OR state = 'pending'),
    CONSTRAINT delivery_attempts_not_negative CHECK (attempts >= 0)
);

COMMENT ON TABLE agentevals.delivery IS 'Messages to sinks; those that could not be delivered are kept as well';

-- For claims, which look only at due messages. Every claim and wait changes this index; that is cheap beside the
-- request that each attempt makes, and without the index each claim would walk over all messages that wait for dead
-- receivers.
CREATE INDEX delivery_due ON agentevals.delivery (due_at) WHERE state = 'pending';

-- For the question whether a pending message is in line before another.
CREATE INDEX delivery_line ON agentevals.delivery (run_id, sink, event) WHERE state = 'pending';

CREATE FUNCTION agentevals.tell_deliverers() RETURNS void
LANGUAGE sql AS $$
    SELECT pg_notify('agentevals:deliveries', '')
$$;

COMMENT ON FUNCTION agentevals.tell_deliverers IS 'Hints that there are new messages to sinks';

CREATE FUNCTION agentevals.error_payload(run_id uuid, attempt integer, code text, reason text) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
    SELECT json_build_object('phase', 'error', 'run_id', run_id, 'attempt', attempt, 'error', reason, 'code', code)::text
$$;

COMMENT ON FUNCTION agentevals.error_payload IS 'The message about the end of a run that no worker holds';
