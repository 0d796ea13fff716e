-- Keys that stand for a person, and programs that ask to be let in by one.
-- The view needs no new fold: no event before today issues a key to anybody.
ALTER TABLE identity_api_keys ADD COLUMN user_id text;

-- What a program asked for, until somebody decides and it has its answer. Unlogged: after a crash nobody's is worth anything, and it
-- asks again. Of both codes only hashes are here; name and address are sealed. The program that takes its answer deletes the row, so it has one.
CREATE UNLOGGED TABLE edge_devices (
    device_sha256    bytea       PRIMARY KEY CHECK (length(device_sha256) = 32),
    user_sha256      bytea       NOT NULL UNIQUE CHECK (length(user_sha256) = 32),
    name             text        NOT NULL,
    scopes           text[]      NOT NULL,
    lifetime_seconds bigint      NOT NULL,
    address          text        NOT NULL,
    asked_at         timestamptz NOT NULL DEFAULT now(),
    expires_at       timestamptz NOT NULL,
    interval_seconds integer     NOT NULL,
    polled_at        timestamptz,
    -- Whether it was let in, and how whoever decided had come in and as what.
    approved         boolean,
    standing         text,
    role             text
) WITH (autovacuum_vacuum_scale_factor = 0.02);

CREATE INDEX edge_devices_expire ON edge_devices (expires_at);

REVOKE ALL ON edge_devices FROM cairn_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON edge_devices TO cairn_app;
