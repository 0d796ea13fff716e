-- What is built again begins at the first event again.
DELETE FROM projection_parked WHERE projection LIKE 'operations/%';
DELETE FROM projection_checkpoints WHERE name LIKE 'operations/%';
DROP TABLE operations_interventions;
DROP TABLE operations_audit_entries;
