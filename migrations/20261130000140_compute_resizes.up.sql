-- What a rental is about to become, and why it did not become it. The view needs no new fold: none was resized before today.
ALTER TABLE compute_allocations
    ADD COLUMN resize_sku_id text,
    ADD COLUMN resize_failure_code text,
    ADD COLUMN resize_failure_message text;
