-- Taxes: a charge may owe a part of it to a jurisdiction.
INSERT INTO ledger_kinds (kind, debit, credit) VALUES
    ('usage', 'wallet:paid', 'tax'),
    -- Promotional credit and paid money may pay for one charge; only the paid part is taxed.
    ('usage', 'wallet:promo', 'tax'),
    ('overrun', 'receivable:overrun', 'tax');

CREATE TABLE catalog_taxes (
    jurisdiction text NOT NULL,
    version bigint NOT NULL,
    name text NOT NULL,
    ppm bigint NOT NULL,
    inclusive boolean NOT NULL,
    reverse_charge boolean NOT NULL,
    effective_at timestamptz NOT NULL,
    PRIMARY KEY (jurisdiction, version)
);
GRANT SELECT, INSERT, UPDATE, DELETE ON catalog_taxes TO cairn_app;

-- The views need no new fold: nothing was taxed before today.
ALTER TABLE compute_allocations
    ADD COLUMN tax_jurisdiction text,
    ADD COLUMN tax_name text,
    ADD COLUMN tax_ppm bigint,
    ADD COLUMN tax_treatment text,
    ADD COLUMN tax_nanos bigint NOT NULL DEFAULT 0;
ALTER TABLE ledger_statement_lines ADD COLUMN tax_nanos bigint NOT NULL DEFAULT 0;
-- Usage by time, and the charges of one rental.
CREATE INDEX ledger_statement_lines_usage ON ledger_statement_lines (organisation_id, currency, occurred_at)
    WHERE kind IN ('usage', 'overrun');
CREATE INDEX ledger_statement_lines_charges ON ledger_statement_lines (organisation_id, currency, reference, position)
    WHERE kind IN ('usage', 'overrun');
