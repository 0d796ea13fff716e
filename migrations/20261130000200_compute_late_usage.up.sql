-- Of the time of a rental that was charged, what was proven only after its outage; and when an outage was proven.
CREATE TABLE compute_late_usage (
    allocation_id text NOT NULL,
    late_seconds bigint NOT NULL,
    position bigint NOT NULL UNIQUE,
    first_at timestamptz NOT NULL,
    last_at timestamptz NOT NULL,
    noted_at timestamptz NOT NULL,
    PRIMARY KEY (allocation_id, late_seconds)
);
ALTER TABLE compute_links ADD COLUMN proven_at timestamptz;

GRANT SELECT, INSERT, UPDATE, DELETE ON compute_late_usage TO cairn_app;
SELECT tenancy_guard('compute_late_usage',
    'EXISTS (SELECT FROM compute_allocations a WHERE a.allocation_id = compute_late_usage.allocation_id)');
