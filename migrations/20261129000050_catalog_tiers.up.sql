-- Prices may have tiers after the first, each as two numbers: from so many seconds on, an hour costs so many nanos. The views need no new fold:
-- no price had tiers before today.
ALTER TABLE catalog_prices ADD COLUMN tiers bigint[] NOT NULL DEFAULT '{}';
ALTER TABLE compute_allocations
    ADD COLUMN tiers bigint[] NOT NULL DEFAULT '{}',
    -- Metered before it was moved to the price of now: its tiers begin there.
    ADD COLUMN priced_after_seconds bigint NOT NULL DEFAULT 0;
