ALTER TABLE compute_allocations DROP COLUMN discount_bps, DROP COLUMN discount_id;
