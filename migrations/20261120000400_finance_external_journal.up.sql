-- The payment provider's own book, copied line by line. It proves ours, so nothing here is ever changed: a line that the
-- provider later reports with other content becomes a second row of the same id, and a break.
CREATE TABLE finance_external_transactions (
    id           text        NOT NULL,
    -- Hash of what the line says; the provider may only move `available_at` without changing it.
    content      text        NOT NULL,
    source_id    text,
    category     text        NOT NULL,
    currency     text        NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    amount_nanos bigint      NOT NULL,
    fee_nanos    bigint      NOT NULL,
    net_nanos    bigint      NOT NULL,
    created_at   timestamptz NOT NULL,
    available_at timestamptz NOT NULL,
    mirrored_at  timestamptz NOT NULL,
    PRIMARY KEY (id, content),
    CONSTRAINT finance_external_net CHECK (net_nanos = amount_nanos - fee_nanos)
);
CREATE INDEX finance_external_by_time ON finance_external_transactions (created_at, id);
CREATE INDEX finance_external_by_source ON finance_external_transactions (source_id);

SELECT log_make_append_only('finance_external_transactions');
