ALTER TABLE fleet_nodes ADD COLUMN health text NOT NULL DEFAULT 'ok';
