ALTER TABLE compute_allocations DROP COLUMN priced_after_seconds, DROP COLUMN tiers;
ALTER TABLE catalog_prices DROP COLUMN tiers;
