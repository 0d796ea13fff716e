-- The way back leads on to a program whose fleet/nodes has no health: its rows and its place in the log go together,
-- so that whichever program comes next folds them from the first event.
DELETE FROM projection_parked WHERE projection = 'fleet/nodes';
DELETE FROM projection_checkpoints WHERE name = 'fleet/nodes';
DELETE FROM fleet_reservations;
DELETE FROM fleet_nodes;
