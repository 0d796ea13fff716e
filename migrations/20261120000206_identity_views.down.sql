-- What is built again begins at the first event again.
DELETE FROM projection_parked WHERE projection LIKE 'identity/%';
DELETE FROM projection_checkpoints WHERE name LIKE 'identity/%';
DROP TABLE identity_api_keys;
