ALTER TABLE fleet_nodes
    DROP COLUMN compared_at,
    DROP COLUMN missing_on_node,
    DROP COLUMN left_on_node,
    DROP COLUMN differs;
