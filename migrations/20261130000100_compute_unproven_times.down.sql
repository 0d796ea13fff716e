DROP TABLE compute_links;
DROP TABLE compute_unproven;
