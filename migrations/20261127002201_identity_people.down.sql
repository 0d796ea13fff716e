-- What is built again begins at the first event again.
DELETE FROM projection_parked WHERE projection IN ('identity/people', 'identity/organisations');
DELETE FROM projection_checkpoints WHERE name IN ('identity/people', 'identity/organisations');
DROP TABLE identity_session_uses, identity_grants, identity_invitations, identity_members, identity_organisations,
    identity_sessions, identity_links, identity_users;
UPDATE identity_api_keys SET role = substr(role, 10) WHERE role IN ('platform_operator', 'platform_finance');
ALTER TABLE identity_api_keys DROP COLUMN scopes;
