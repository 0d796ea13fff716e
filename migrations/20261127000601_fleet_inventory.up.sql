ALTER TABLE fleet_nodes
    ADD COLUMN compared_at timestamptz,
    ADD COLUMN missing_on_node bigint NOT NULL DEFAULT 0,
    ADD COLUMN left_on_node bigint NOT NULL DEFAULT 0,
    ADD COLUMN differs bigint NOT NULL DEFAULT 0;
