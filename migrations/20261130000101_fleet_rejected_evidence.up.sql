-- What nodes said of themselves and cannot be true.
CREATE TABLE fleet_rejected_evidence (
    position bigint PRIMARY KEY,
    node_id text NOT NULL,
    reason text NOT NULL,
    boot_id text NOT NULL,
    sequence bigint NOT NULL,
    clock_at timestamptz NOT NULL,
    rejected_at timestamptz NOT NULL
);

GRANT SELECT, INSERT, UPDATE, DELETE ON fleet_rejected_evidence TO cairn_app;
