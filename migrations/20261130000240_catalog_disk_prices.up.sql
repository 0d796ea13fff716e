-- Additional disk has a price of its own. The view needs no new fold: none was sold before today.
CREATE TABLE catalog_disk_prices (
    sku_id text NOT NULL,
    version bigint NOT NULL,
    currency text NOT NULL,
    nanos_per_gib_hour bigint NOT NULL,
    gib_max bigint NOT NULL,
    effective_at timestamptz NOT NULL,
    PRIMARY KEY (sku_id, version)
);
CREATE INDEX catalog_disk_prices_current ON catalog_disk_prices (sku_id, currency, effective_at, version);

GRANT SELECT, INSERT, UPDATE, DELETE ON catalog_disk_prices TO cairn_app;
