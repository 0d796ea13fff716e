CREATE TABLE catalog_skus (
    sku_id text PRIMARY KEY,
    position bigint NOT NULL UNIQUE,
    cpu_millis bigint NOT NULL,
    memory_bytes bigint NOT NULL,
    disk_bytes bigint NOT NULL,
    pids_max bigint NOT NULL,
    defined_at timestamptz NOT NULL,
    retired_at timestamptz
);

CREATE TABLE catalog_prices (
    sku_id text NOT NULL,
    version bigint NOT NULL,
    currency text NOT NULL,
    nanos_per_hour bigint NOT NULL,
    effective_at timestamptz NOT NULL,
    PRIMARY KEY (sku_id, version)
);
CREATE INDEX catalog_prices_current ON catalog_prices (sku_id, currency, effective_at, version);

GRANT SELECT, INSERT, UPDATE, DELETE ON catalog_skus, catalog_prices TO cairn_app;
