ALTER TABLE compute_allocations DROP COLUMN unproven_seconds;
