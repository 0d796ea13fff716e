-- What was charged of a rental that had ended when an outage of its node was proven.
CREATE TABLE compute_late_proofs (
    position bigint PRIMARY KEY,
    allocation_id text NOT NULL,
    seconds bigint NOT NULL,
    since timestamptz NOT NULL,
    until timestamptz NOT NULL,
    noted_at timestamptz NOT NULL
);
CREATE INDEX compute_late_proofs_of_allocation ON compute_late_proofs (allocation_id);

GRANT SELECT, INSERT, UPDATE, DELETE ON compute_late_proofs TO cairn_app;
SELECT tenancy_guard('compute_late_proofs',
    'EXISTS (SELECT FROM compute_allocations a WHERE a.allocation_id = compute_late_proofs.allocation_id)');
