-- What a rental has beside the disk of its SKU, at which price, and what of it it is about to have. The view needs no new fold: none had any
-- before today.
ALTER TABLE compute_allocations
    ADD COLUMN disk_version bigint NOT NULL DEFAULT 0,
    ADD COLUMN disk_gib bigint NOT NULL DEFAULT 0,
    ADD COLUMN disk_nanos_per_gib_hour bigint NOT NULL DEFAULT 0,
    ADD COLUMN resize_disk_gib bigint;
