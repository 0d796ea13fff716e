-- Process managers: how far each has followed the log, what each instance remembers, and what it intends.
-- State, intents and checkpoint commit together; a lease's token is the fence.
CREATE TABLE process_checkpoints (
    process text PRIMARY KEY,
    position bigint NOT NULL DEFAULT 0 CHECK (position >= 0),
    lease_owner text,
    lease_token bigint NOT NULL DEFAULT 0,
    lease_until timestamptz
) WITH (fillfactor = 50);

CREATE TABLE process_states (
    process text NOT NULL,
    key text NOT NULL,
    state jsonb NOT NULL,
    status text NOT NULL CHECK (status IN ('waiting', 'running', 'done', 'unwound', 'abandoned')),
    position bigint NOT NULL,
    started_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (process, key)
);
COMMENT ON COLUMN process_states.position IS 'of the last event that changed it';
CREATE INDEX process_states_status ON process_states (status, process, key);

CREATE TABLE process_intents (
    id text PRIMARY KEY,
    seq bigint GENERATED ALWAYS AS IDENTITY,
    process text NOT NULL,
    key text NOT NULL,
    kind text NOT NULL CHECK (kind IN ('command', 'effect', 'timer')),
    name text NOT NULL,
    action jsonb NOT NULL,
    origin jsonb NOT NULL,
    status text NOT NULL
        CHECK (status IN ('ready', 'leased', 'done', 'skipped', 'abandoned', 'needs_operator')),
    order_key text,
    due_at timestamptz NOT NULL,
    give_up_at timestamptz,
    patience interval,
    attempts integer NOT NULL DEFAULT 0,
    run integer NOT NULL DEFAULT 0,
    round integer NOT NULL DEFAULT 0,
    lease_owner text,
    lease_token bigint NOT NULL DEFAULT 0,
    lease_until timestamptz,
    skip_reason text,
    last_error text,
    created_at timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz,
    CHECK ((status = 'leased') = (lease_until IS NOT NULL))
);
COMMENT ON COLUMN process_intents.origin IS 'of the causing event: correlation, causation, organisation, trace';
COMMENT ON COLUMN process_intents.run IS 'how often a timer has fired';
COMMENT ON COLUMN process_intents.patience IS 'from its birth, and from each retry, to give_up_at';
COMMENT ON COLUMN process_intents.round IS 'how often an operator has asked for another try';
COMMENT ON COLUMN process_intents.skip_reason IS 'an operator says that it is done; the worker notes it as skipped';
CREATE INDEX process_intents_due ON process_intents (due_at, seq) WHERE status = 'ready';
CREATE INDEX process_intents_leases ON process_intents (lease_until) WHERE status = 'leased';
CREATE UNIQUE INDEX process_intents_one_at_a_time ON process_intents (order_key) WHERE status = 'leased';
CREATE INDEX process_intents_key ON process_intents (process, key, seq);
CREATE INDEX process_intents_stuck ON process_intents (seq) WHERE status = 'needs_operator';
CREATE INDEX process_intents_finished ON process_intents (finished_at) WHERE finished_at IS NOT NULL;

GRANT SELECT, INSERT, UPDATE, DELETE ON process_checkpoints, process_states, process_intents TO cairn_app;
