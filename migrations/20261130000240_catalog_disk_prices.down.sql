DROP TABLE catalog_disk_prices;
