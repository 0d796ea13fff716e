-- What people agreed to, and who wants to be forgotten.
CREATE TABLE identity_consents (
    user_id text NOT NULL,
    position bigint NOT NULL,
    document text NOT NULL,
    version text NOT NULL,
    given boolean NOT NULL,
    said text NOT NULL,
    said_at timestamptz NOT NULL,
    PRIMARY KEY (user_id, position)
);

CREATE TABLE identity_erasures (
    user_id text PRIMARY KEY,
    requested_at timestamptz NOT NULL,
    due_at timestamptz NOT NULL,
    over_at timestamptz
);
CREATE INDEX identity_erasures_due ON identity_erasures (due_at) WHERE over_at IS NULL;

GRANT SELECT, INSERT, UPDATE, DELETE ON identity_consents, identity_erasures TO cairn_app;
