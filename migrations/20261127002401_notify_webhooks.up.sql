-- Webhooks out. What each endpoint is owed is found by a reader of the log (`tell_webhooks` in process_checkpoints) and sent by
-- workers; no rebuild of a view knows these tables. The view of the endpoints is the last table.
CREATE TABLE notify_targets (
    endpoint_id text PRIMARY KEY,
    organisation_id text NOT NULL,
    -- Types of public events; all of them when empty.
    event_types text[] NOT NULL,
    status text NOT NULL CHECK (status IN ('enabled', 'disabled', 'deleted')),
    position bigint NOT NULL,
    -- Since when every attempt has failed; null when the last one did not.
    failing_since timestamptz,
    updated_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON COLUMN notify_targets.position IS 'of the last event that changed it';

CREATE TABLE notify_deliveries (
    endpoint_id text NOT NULL,
    position bigint NOT NULL,
    event_type text NOT NULL,
    status text NOT NULL CHECK (status IN ('pending', 'delivered', 'failed', 'dropped')),
    due_at timestamptz NOT NULL,
    attempts integer NOT NULL DEFAULT 0,
    -- Attempts since it was last wanted: where it is in the schedule.
    tries integer NOT NULL DEFAULT 0,
    lease_token bigint NOT NULL DEFAULT 0,
    lease_until timestamptz,
    last_status integer,
    last_error text,
    created_at timestamptz NOT NULL,
    finished_at timestamptz,
    PRIMARY KEY (endpoint_id, position),
    CHECK ((status = 'pending') = (finished_at IS NULL))
) WITH (fillfactor = 70);
COMMENT ON COLUMN notify_deliveries.position IS 'of the fact in the log; the message is made of it at each attempt';
CREATE INDEX notify_deliveries_due ON notify_deliveries (endpoint_id, due_at, position) WHERE status = 'pending';
CREATE INDEX notify_deliveries_finished ON notify_deliveries (finished_at) WHERE finished_at IS NOT NULL;

CREATE TABLE notify_attempts (
    endpoint_id text NOT NULL,
    position bigint NOT NULL,
    attempt integer NOT NULL,
    at timestamptz NOT NULL,
    latency_ms integer NOT NULL,
    -- What was answered, or why there was no answer.
    status integer,
    answer text,
    error text,
    PRIMARY KEY (endpoint_id, position, attempt),
    FOREIGN KEY (endpoint_id, position) REFERENCES notify_deliveries ON DELETE CASCADE,
    CHECK ((status IS NULL) <> (error IS NULL))
);

CREATE TABLE notify_endpoints (
    endpoint_id text PRIMARY KEY,
    position bigint NOT NULL UNIQUE,
    organisation_id text NOT NULL,
    url text NOT NULL,
    event_types text NOT NULL,
    created_at timestamptz NOT NULL,
    secret_rotated_at timestamptz,
    disabled_at timestamptz,
    disabled_reason text,
    deleted_at timestamptz
);
CREATE INDEX notify_endpoints_organisation ON notify_endpoints (organisation_id, position);

GRANT SELECT, INSERT, UPDATE, DELETE ON notify_targets, notify_deliveries, notify_attempts, notify_endpoints TO cairn_app;
