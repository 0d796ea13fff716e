-- How far each projection has folded the log, and which events it could not fold.
-- The row lock on a checkpoint is the lease on its projection, and the position under the lock is the fence.
CREATE TABLE projection_checkpoints (
    name text PRIMARY KEY,
    version integer NOT NULL CHECK (version > 0),
    position bigint NOT NULL CHECK (position >= 0),
    updated_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 50);

-- An event that its projection could not fold, or that waits behind one of the same key.
CREATE TABLE projection_parked (
    projection text NOT NULL,
    position bigint NOT NULL,
    key text NOT NULL,
    event_type text NOT NULL,
    error text,
    parked_at timestamptz NOT NULL DEFAULT now(),
    skipped_at timestamptz,
    skipped_by text,
    skipped_reason text,
    PRIMARY KEY (projection, position),
    CHECK ((skipped_at IS NULL) = (skipped_by IS NULL) AND (skipped_at IS NULL) = (skipped_reason IS NULL))
);
COMMENT ON COLUMN projection_parked.error IS 'why it could not be folded; null when it only waits behind another';
CREATE INDEX projection_parked_key ON projection_parked (projection, key) WHERE skipped_at IS NULL;

GRANT SELECT, INSERT, UPDATE, DELETE ON projection_checkpoints, projection_parked TO cairn_app;
