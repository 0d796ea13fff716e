ALTER TABLE compute_allocations
    DROP COLUMN resize_failure_message,
    DROP COLUMN resize_failure_code,
    DROP COLUMN resize_sku_id;
