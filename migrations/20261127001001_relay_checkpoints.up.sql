-- How far each relay of public events has come: everything up to `position` has been acknowledged by its topic.
-- The lease's token is the fence. No rebuild of a view knows this table.
CREATE TABLE relay_checkpoints (
    topic text PRIMARY KEY,
    position bigint NOT NULL DEFAULT 0 CHECK (position >= 0),
    sent bigint NOT NULL DEFAULT 0 CHECK (sent >= 0),
    lease_owner text,
    lease_token bigint NOT NULL DEFAULT 0,
    lease_until timestamptz,
    last_error text,
    failed_at timestamptz,
    updated_at timestamptz NOT NULL DEFAULT now(),
    CHECK ((last_error IS NULL) = (failed_at IS NULL))
) WITH (fillfactor = 50);
COMMENT ON COLUMN relay_checkpoints.sent IS 'messages acknowledged since the beginning, repeats not counted';
COMMENT ON COLUMN relay_checkpoints.last_error IS 'why it does not get on; null when it does';

GRANT SELECT, INSERT, UPDATE, DELETE ON relay_checkpoints TO cairn_app;
