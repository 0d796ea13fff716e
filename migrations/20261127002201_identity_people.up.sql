-- People, organisations and who belongs to them; scopes of keys, and the names of the platform's roles.
ALTER TABLE identity_api_keys ADD COLUMN scopes text[] NOT NULL DEFAULT '{}';
UPDATE identity_api_keys SET role = 'platform_' || role WHERE role IN ('operator', 'finance');

CREATE TABLE identity_users (
    user_id text PRIMARY KEY,
    position bigint NOT NULL UNIQUE,
    email text NOT NULL,
    email_index text NOT NULL,
    name text NOT NULL,
    password text NOT NULL,
    totp text NOT NULL,
    totp_secret text,
    registered_at timestamptz NOT NULL,
    verified_at timestamptz,
    -- Sessions that began before this place in the log are over.
    sessions_from bigint NOT NULL,
    closed_at timestamptz
);
CREATE INDEX identity_users_email ON identity_users (email_index);

CREATE TABLE identity_links (
    token_sha256 text PRIMARY KEY,
    user_id text NOT NULL,
    purpose text NOT NULL,
    expires_at timestamptz NOT NULL
);

CREATE TABLE identity_sessions (
    session_id text PRIMARY KEY,
    position bigint NOT NULL UNIQUE,
    user_id text NOT NULL,
    secret_sha256 text NOT NULL,
    factor text NOT NULL,
    opened_at timestamptz NOT NULL,
    ends_at timestamptz NOT NULL,
    ended_at timestamptz
);
CREATE INDEX identity_sessions_secret ON identity_sessions (secret_sha256);
CREATE INDEX identity_sessions_user ON identity_sessions (user_id, position);

CREATE TABLE identity_organisations (
    organisation_id text PRIMARY KEY,
    position bigint NOT NULL UNIQUE,
    name text NOT NULL,
    founded_at timestamptz NOT NULL,
    suspended_at timestamptz,
    suspended_reason text
);

CREATE TABLE identity_members (
    organisation_id text NOT NULL,
    user_id text NOT NULL,
    position bigint NOT NULL UNIQUE,
    role text NOT NULL,
    joined_at timestamptz NOT NULL,
    PRIMARY KEY (organisation_id, user_id)
);
CREATE INDEX identity_members_user ON identity_members (user_id);

CREATE TABLE identity_invitations (
    invitation_id text PRIMARY KEY,
    position bigint NOT NULL UNIQUE,
    organisation_id text NOT NULL,
    email text NOT NULL,
    role text NOT NULL,
    token_sha256 text NOT NULL,
    status text NOT NULL,
    invited_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL
);
CREATE INDEX identity_invitations_token ON identity_invitations (token_sha256);
CREATE INDEX identity_invitations_organisation ON identity_invitations (organisation_id, position);

CREATE TABLE identity_grants (
    grant_id text PRIMARY KEY,
    position bigint NOT NULL UNIQUE,
    organisation_id text NOT NULL,
    reason text NOT NULL,
    granted_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    ended_at timestamptz
);
CREATE INDEX identity_grants_organisation ON identity_grants (organisation_id, position);

-- Written by whoever lets a session in, once a minute at most. No event says it, and a rebuild does not touch it.
CREATE TABLE identity_session_uses (
    session_id text PRIMARY KEY,
    used_at    timestamptz NOT NULL
);

GRANT SELECT, INSERT, UPDATE, DELETE ON identity_users, identity_links, identity_sessions, identity_organisations,
    identity_members, identity_invitations, identity_grants, identity_session_uses TO cairn_app;
