-- Keys that people sign in by. The view needs no new fold: no event before today adds one.
CREATE TABLE identity_passkeys (
    user_id           text        NOT NULL,
    -- Lower-case hex SHA-256 of the credential's id.
    credential_sha256 text        NOT NULL,
    position          bigint      NOT NULL UNIQUE,
    credential_id     text        NOT NULL,
    algorithm         text        NOT NULL,
    public_key        text        NOT NULL,
    sign_count        bigint      NOT NULL,
    backup            text        NOT NULL,
    name              text        NOT NULL,
    added_at          timestamptz NOT NULL,
    used_at           timestamptz,
    PRIMARY KEY (user_id, credential_sha256)
);
CREATE INDEX identity_passkeys_credential ON identity_passkeys (credential_sha256);

GRANT SELECT, INSERT, UPDATE, DELETE ON identity_passkeys TO cairn_app;
SELECT tenancy_guard('identity_passkeys', 'user_id = tenancy_actor()');
