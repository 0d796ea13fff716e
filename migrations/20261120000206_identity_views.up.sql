CREATE TABLE identity_api_keys (
    key_id text PRIMARY KEY,
    position bigint NOT NULL UNIQUE,
    organisation_id text NOT NULL,
    role text NOT NULL,
    name text NOT NULL,
    secret_sha256 text NOT NULL,
    created_at timestamptz NOT NULL,
    revoked_at timestamptz,
    revoked_reason text
);
CREATE INDEX identity_api_keys_secret ON identity_api_keys (secret_sha256);
CREATE INDEX identity_api_keys_organisation ON identity_api_keys (organisation_id, position);

GRANT SELECT, INSERT, UPDATE, DELETE ON identity_api_keys TO cairn_app;
