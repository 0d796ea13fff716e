DROP TABLE edge_devices;
ALTER TABLE identity_api_keys DROP COLUMN user_id;
