-- The outbox: messages to the sinks of runs.
--
-- The statement that changes a run writes the messages about it, so that neither can be there without the other. They
-- are delivered afterwards, in the order of the run's events, by any process that has workers: of each sink only the
-- first pending message can be claimed, and those behind it wait as long as it does.
--
-- There are no foreign keys, for the reasons given for runs.

CREATE TABLE agentevals.run_sink (
    run_id uuid NOT NULL,
    -- Place in the specification, from 0.
    sink smallint NOT NULL,
    kind text NOT NULL,
    -- Where it leads, without anything that may be secret. What is on its way to one destination is limited.
    destination text NOT NULL,
    timeout_ms integer NOT NULL,
    -- JSON: the sink as submitted and the credential references it may name. Deliverers need no specification then,
    -- which may be large.
    document text COMPRESSION lz4 NOT NULL,
    PRIMARY KEY (run_id, sink),
    CONSTRAINT run_sink_kind_is_known CHECK (kind IN ('stdout', 'file', 'http_webhook')),
    CONSTRAINT run_sink_timeout_is_positive CHECK (timeout_ms > 0)
);

COMMENT ON TABLE agentevals.run_sink IS 'One row per sink of a run; none for most runs';

CREATE TABLE agentevals.delivery (
    run_id uuid NOT NULL,
    sink smallint NOT NULL,
    -- Number of the event that it tells of. With run and sink it names the message, whoever delivers it how often.
    event integer NOT NULL,
    phase text NOT NULL,
    -- JSON as text, as it is sent.
    payload text COMPRESSION lz4 NOT NULL,
    state text NOT NULL DEFAULT 'pending',
    attempts integer NOT NULL DEFAULT 0,
    -- Until when nobody may claim it: the end of a claim or of a wait. Those behind it in line have the same.
    due_at timestamptz NOT NULL DEFAULT '-infinity',
    -- New for each claim. Whoever writes what became of it names it.
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

-- Claims look only at what is due. Every claim and wait changes this index, which is the lesser evil: an attempt costs
-- a request anyway, and without it each claim would walk over all that waits for receivers that are away.
CREATE INDEX delivery_due ON agentevals.delivery (due_at) WHERE state = 'pending';

-- Whether something is in line before a message.
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
