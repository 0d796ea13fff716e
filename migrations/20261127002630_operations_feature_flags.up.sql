CREATE TABLE operations_feature_flags (
    flag text PRIMARY KEY,
    position bigint NOT NULL UNIQUE,
    description text NOT NULL,
    percentage bigint NOT NULL CHECK (percentage BETWEEN 0 AND 100),
    defined_at timestamptz NOT NULL,
    changed_at timestamptz NOT NULL,
    archived_at timestamptz
);

CREATE TABLE operations_feature_flag_overrides (
    flag text NOT NULL,
    organisation_id text NOT NULL,
    is_on boolean NOT NULL,
    set_at timestamptz NOT NULL,
    PRIMARY KEY (flag, organisation_id)
);

GRANT SELECT, INSERT, UPDATE, DELETE ON operations_feature_flags, operations_feature_flag_overrides TO cairn_app;
