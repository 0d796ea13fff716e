-- Invoices and credit notes, as they are listed. What stands on them is in their events.
CREATE TABLE finance_papers (
    number text PRIMARY KEY,
    position bigint NOT NULL UNIQUE,
    kind text NOT NULL,
    invoice text,
    organisation_id text NOT NULL,
    currency text NOT NULL,
    month text NOT NULL,
    issued_at timestamptz NOT NULL,
    net_cents bigint NOT NULL,
    tax_cents bigint NOT NULL,
    gross_cents bigint NOT NULL,
    gross_nanos bigint NOT NULL
);
CREATE INDEX finance_papers_of_organisation ON finance_papers (organisation_id, position);

GRANT SELECT, INSERT, UPDATE, DELETE ON finance_papers TO cairn_app;
SELECT tenancy_guard('finance_papers', 'organisation_id = tenancy_organisation()');
