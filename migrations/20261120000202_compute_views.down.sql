-- What is built again begins at the first event again.
DELETE FROM projection_parked WHERE projection LIKE 'compute/%';
DELETE FROM projection_checkpoints WHERE name LIKE 'compute/%';
DROP TABLE compute_timeline_entries;
DROP TABLE compute_addresses;
DROP TABLE compute_allocations;
