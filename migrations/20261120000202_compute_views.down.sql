DROP TABLE compute_timeline_entries;
DROP TABLE compute_addresses;
DROP TABLE compute_allocations;
