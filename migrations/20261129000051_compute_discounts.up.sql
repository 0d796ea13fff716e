-- What a rental pays less than the catalogue says. The view needs no new fold: no discount was given before today.
ALTER TABLE compute_allocations
    ADD COLUMN discount_id text,
    ADD COLUMN discount_bps bigint NOT NULL DEFAULT 0;
