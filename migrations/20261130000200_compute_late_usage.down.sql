ALTER TABLE compute_links DROP COLUMN proven_at;
DROP TABLE compute_late_usage;
