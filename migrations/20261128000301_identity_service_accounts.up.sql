-- Programs that act for an organisation, and the keys that are theirs.
-- The view of keys needs no new fold: no event before today assigns a key to anybody.
ALTER TABLE identity_api_keys ADD COLUMN service_account_id text;
CREATE INDEX identity_api_keys_service_account ON identity_api_keys (service_account_id, position);

-- One that was removed stays, so that its keys say since when they open nothing.
CREATE TABLE identity_service_accounts (
    service_account_id text PRIMARY KEY,
    position bigint NOT NULL UNIQUE,
    organisation_id text NOT NULL,
    name text NOT NULL,
    role text NOT NULL,
    added_at timestamptz NOT NULL,
    disabled_at timestamptz,
    removed_at timestamptz
);
CREATE INDEX identity_service_accounts_organisation ON identity_service_accounts (organisation_id, position);

GRANT SELECT, INSERT, UPDATE, DELETE ON identity_service_accounts TO cairn_app;
SELECT tenancy_guard('identity_service_accounts', 'organisation_id = tenancy_organisation()');
