ALTER TABLE compute_allocations
    DROP COLUMN resize_disk_gib,
    DROP COLUMN disk_nanos_per_gib_hour,
    DROP COLUMN disk_gib,
    DROP COLUMN disk_version;
