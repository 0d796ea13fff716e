-- Where another system carries the log, `events` is its copy, made by the one server that has the lease. No lease is needed for
-- the copy to be right, a command id is copied once; it spares work.
CREATE TABLE log_carrier (
    id          boolean     PRIMARY KEY DEFAULT true CHECK (id),
    carrier     text        NOT NULL,
    position    bigint      NOT NULL DEFAULT 0 CHECK (position >= 0),
    lease_owner text,
    lease_token bigint      NOT NULL DEFAULT 0,
    lease_until timestamptz,
    last_error  text,
    failed_at   timestamptz,
    updated_at  timestamptz NOT NULL DEFAULT now(),
    CHECK ((last_error IS NULL) = (failed_at IS NULL))
) WITH (fillfactor = 10);
COMMENT ON TABLE log_carrier IS 'one row, or none when this database itself carries the log';
COMMENT ON COLUMN log_carrier.carrier IS 'names the log: the carrier must have the same name';
COMMENT ON COLUMN log_carrier.position IS 'of the carrier: everything up to it is copied, or parked with its stream';

-- Streams whose copy stands still because the database refused it, until it does not any more.
CREATE TABLE log_parked (
    aggregate_type text        COLLATE "C" NOT NULL,
    aggregate_id   text        COLLATE "C" NOT NULL,
    command_id     text        NOT NULL,
    sequence       bigint      NOT NULL CHECK (sequence >= 1),
    refused_by     text        NOT NULL,
    message        text        NOT NULL,
    tries          bigint      NOT NULL DEFAULT 1,
    parked_at      timestamptz NOT NULL DEFAULT now(),
    tried_at       timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (aggregate_type, aggregate_id)
);
COMMENT ON COLUMN log_parked.sequence IS 'the first event that is not here';

GRANT SELECT, INSERT, UPDATE, DELETE ON log_carrier, log_parked TO cairn_app;
