-- How much of each window is used, shared by every process. Unlogged: after a crash everybody begins anew, and that costs nobody anything.
-- A bucket is a hash of the policy and of whom it counts; a row is gone within minutes of its window's end.
CREATE UNLOGGED TABLE edge_quotas (
    bucket  bytea       PRIMARY KEY CHECK (length(bucket) = 16),
    ends_at timestamptz NOT NULL,
    used    int         NOT NULL CHECK (used >= 0),
    -- What the last process that asked was given of it.
    granted int         NOT NULL CHECK (granted BETWEEN 0 AND used)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02);

-- What a process is given of what is left: an eighth and at least one, so that little is lost with a process that does not use it.
CREATE FUNCTION edge_share(left_over int) RETURNS int LANGUAGE sql IMMUTABLE
RETURN greatest(0, least(left_over, greatest(1, left_over / 8)));

REVOKE ALL ON edge_quotas FROM cairn_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON edge_quotas TO cairn_app;
