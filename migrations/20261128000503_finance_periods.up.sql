CREATE TABLE finance_periods (
    month text PRIMARY KEY CHECK (month ~ '^\d{4}-\d{2}$'),
    status text NOT NULL,
    times bigint NOT NULL,
    closed_at timestamptz NOT NULL,
    closed_by text NOT NULL,
    closed_position bigint NOT NULL,
    counted_position bigint NOT NULL,
    balances_sha256 text NOT NULL,
    accounts bigint NOT NULL,
    seal text NOT NULL,
    reopened_at timestamptz,
    reopened_by text,
    reason text
);

GRANT SELECT, INSERT, UPDATE, DELETE ON finance_periods TO cairn_app;
