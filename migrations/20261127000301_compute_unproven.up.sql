-- Seconds of a rental in which nothing proved that its node was alive: not billed.
ALTER TABLE compute_allocations ADD COLUMN unproven_seconds bigint NOT NULL DEFAULT 0;
