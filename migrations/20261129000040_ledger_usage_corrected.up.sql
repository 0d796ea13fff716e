-- Corrections of usage: what was charged and not used comes back as it was taken.
INSERT INTO ledger_kinds (kind, debit, credit) VALUES
    ('usage_corrected', 'usage', 'wallet:paid'),
    ('usage_corrected', 'usage', 'wallet:promo'),
    ('usage_corrected', 'usage', 'receivable:overrun'),
    ('usage_corrected', 'tax', 'wallet:paid'),
    ('usage_corrected', 'tax', 'wallet:promo'),
    ('usage_corrected', 'tax', 'receivable:overrun');

-- The view needs no new fold: nothing was corrected before today.
ALTER TABLE compute_allocations ADD COLUMN corrected_seconds bigint NOT NULL DEFAULT 0;

DROP INDEX ledger_statement_lines_usage;
CREATE INDEX ledger_statement_lines_usage ON ledger_statement_lines (organisation_id, currency, occurred_at)
    WHERE kind IN ('usage', 'overrun', 'usage_corrected');
DROP INDEX ledger_statement_lines_charges;
CREATE INDEX ledger_statement_lines_charges ON ledger_statement_lines (organisation_id, currency, reference, position)
    WHERE kind IN ('usage', 'overrun', 'usage_corrected');
