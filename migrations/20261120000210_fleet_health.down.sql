ALTER TABLE fleet_nodes DROP COLUMN health;
