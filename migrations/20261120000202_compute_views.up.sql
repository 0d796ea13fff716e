CREATE TABLE compute_allocations (
    allocation_id text PRIMARY KEY,
    position bigint NOT NULL UNIQUE,
    organisation_id text NOT NULL,
    status text NOT NULL,
    needs_operator boolean NOT NULL DEFAULT false,
    sku_id text NOT NULL,
    cpu_millis bigint NOT NULL,
    memory_bytes bigint NOT NULL,
    disk_bytes bigint NOT NULL,
    pids_max bigint NOT NULL,
    price_version bigint NOT NULL,
    currency text NOT NULL,
    nanos_per_hour bigint NOT NULL,
    ssh_public_key text NOT NULL,
    wanted_node_id text,
    node_id text,
    uid bigint,
    hold_id text,
    login text,
    steps_done text[] NOT NULL DEFAULT '{}',
    proof text,
    charged_nanos bigint NOT NULL DEFAULT 0,
    charged_seconds bigint NOT NULL DEFAULT 0,
    owed_nanos bigint NOT NULL DEFAULT 0,
    active_seconds bigint,
    failed_step text,
    failure_code text,
    failure_message text,
    release_reason text,
    requested_at timestamptz NOT NULL,
    activated_at timestamptz,
    release_requested_at timestamptz,
    ended_at timestamptz
);
CREATE INDEX compute_allocations_organisation ON compute_allocations (organisation_id, position);
CREATE INDEX compute_allocations_node ON compute_allocations (node_id, position);

-- Where to log in to: kept here so that one view answers alone.
CREATE TABLE compute_addresses (
    node_id text PRIMARY KEY,
    address text NOT NULL,
    port integer NOT NULL
);

CREATE TABLE compute_timeline_entries (
    position bigint PRIMARY KEY,
    allocation_id text NOT NULL,
    organisation_id text NOT NULL,
    entry text NOT NULL,
    step text,
    detail text,
    actor text NOT NULL,
    at timestamptz NOT NULL
);
CREATE INDEX compute_timeline_entries_allocation ON compute_timeline_entries (allocation_id, position);

GRANT SELECT, INSERT, UPDATE, DELETE ON compute_allocations, compute_addresses, compute_timeline_entries TO cairn_app;
