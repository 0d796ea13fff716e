CREATE TABLE fleet_nodes (
    node_id text PRIMARY KEY,
    position bigint NOT NULL UNIQUE,
    name text NOT NULL,
    lifecycle text NOT NULL,
    policy text NOT NULL,
    link text NOT NULL,
    reason text,
    token_sha256 text,
    token_expires_at timestamptz,
    address text,
    port integer,
    host_keys text[] NOT NULL DEFAULT '{}',
    hostname text,
    os text,
    helper_version text,
    cgroup text,
    cpu_millis bigint NOT NULL DEFAULT 0,
    memory_bytes bigint NOT NULL DEFAULT 0,
    disk_bytes bigint NOT NULL DEFAULT 0,
    pids_max bigint NOT NULL DEFAULT 0,
    invited_at timestamptz NOT NULL,
    enrolled_at timestamptz,
    ready_at timestamptz
);
CREATE INDEX fleet_nodes_name ON fleet_nodes (name);
CREATE INDEX fleet_nodes_token ON fleet_nodes (token_sha256) WHERE token_sha256 IS NOT NULL;

CREATE TABLE fleet_reservations (
    node_id text NOT NULL,
    allocation_id text NOT NULL,
    uid bigint NOT NULL,
    status text NOT NULL,
    reason text,
    cpu_millis bigint NOT NULL,
    memory_bytes bigint NOT NULL,
    disk_bytes bigint NOT NULL,
    pids_max bigint NOT NULL,
    reserved_at timestamptz NOT NULL,
    PRIMARY KEY (node_id, allocation_id)
);

GRANT SELECT, INSERT, UPDATE, DELETE ON fleet_nodes, fleet_reservations TO cairn_app;
