-- Keys that end by themselves, and when each was last used. The view needs no new fold: no event before today sets an expiry.
ALTER TABLE identity_api_keys ADD COLUMN expires_at timestamptz, ADD COLUMN successor text;

-- Written by whoever lets a key in, once a minute at most. No event says it, and a rebuild does not touch it.
CREATE TABLE identity_key_uses (
    key_id  text PRIMARY KEY,
    used_at timestamptz NOT NULL
);
GRANT SELECT, INSERT, UPDATE, DELETE ON identity_key_uses TO cairn_app;
