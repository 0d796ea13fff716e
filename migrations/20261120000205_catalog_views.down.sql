-- What is built again begins at the first event again.
DELETE FROM projection_parked WHERE projection LIKE 'catalog/%';
DELETE FROM projection_checkpoints WHERE name LIKE 'catalog/%';
DROP TABLE catalog_prices;
DROP TABLE catalog_skus;
