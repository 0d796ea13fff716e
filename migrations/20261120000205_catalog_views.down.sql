DROP TABLE catalog_prices;
DROP TABLE catalog_skus;
