-- What is built again begins at the first event again.
DELETE FROM projection_parked WHERE projection LIKE 'fleet/%';
DELETE FROM projection_checkpoints WHERE name LIKE 'fleet/%';
DROP TABLE fleet_reservations;
DROP TABLE fleet_nodes;
