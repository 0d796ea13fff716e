-- Which time of which rental nobody proved: how far the meter was at each sum of unproven seconds, and when nodes were silent.
CREATE TABLE compute_unproven (
    allocation_id text NOT NULL,
    unproven_seconds bigint NOT NULL,
    position bigint NOT NULL UNIQUE,
    first_at timestamptz NOT NULL,
    last_at timestamptz NOT NULL,
    noted_at timestamptz NOT NULL,
    PRIMARY KEY (allocation_id, unproven_seconds)
);
CREATE TABLE compute_links (
    node_id text NOT NULL,
    position bigint PRIMARY KEY,
    since timestamptz,
    until timestamptz,
    why text NOT NULL
);
CREATE INDEX compute_links_of_node ON compute_links (node_id, position);

GRANT SELECT, INSERT, UPDATE, DELETE ON compute_unproven, compute_links TO cairn_app;
SELECT tenancy_guard('compute_unproven',
    'EXISTS (SELECT FROM compute_allocations a WHERE a.allocation_id = compute_unproven.allocation_id)');
SELECT tenancy_guard('compute_links', 'EXISTS (SELECT FROM compute_allocations a WHERE a.node_id = compute_links.node_id)');
