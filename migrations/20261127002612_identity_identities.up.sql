-- Who else vouches for a person. The view needs no new fold: no event before today links anybody.
CREATE TABLE identity_identities (
    user_id        text        NOT NULL,
    -- What issuer and subject are found by.
    identity_index text        NOT NULL,
    position       bigint      NOT NULL UNIQUE,
    provider       text        NOT NULL,
    issuer         text        NOT NULL,
    subject        text        NOT NULL,
    linked_at      timestamptz NOT NULL,
    PRIMARY KEY (user_id, identity_index)
);
CREATE INDEX identity_identities_index ON identity_identities (identity_index);

GRANT SELECT, INSERT, UPDATE, DELETE ON identity_identities TO cairn_app;
