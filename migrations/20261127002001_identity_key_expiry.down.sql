DROP TABLE identity_key_uses;
ALTER TABLE identity_api_keys DROP COLUMN successor, DROP COLUMN expires_at;
