-- Corrections of usage that is on an invoice: as `usage_corrected`, but no other invoice counts it.
INSERT INTO ledger_kinds (kind, debit, credit) VALUES
    ('invoice_corrected', 'usage', 'wallet:paid'),
    ('invoice_corrected', 'usage', 'wallet:promo'),
    ('invoice_corrected', 'usage', 'receivable:overrun'),
    ('invoice_corrected', 'tax', 'wallet:paid'),
    ('invoice_corrected', 'tax', 'wallet:promo'),
    ('invoice_corrected', 'tax', 'receivable:overrun');

DROP INDEX ledger_statement_lines_charges;
CREATE INDEX ledger_statement_lines_charges ON ledger_statement_lines (organisation_id, currency, reference, position)
    WHERE kind IN ('usage', 'overrun', 'usage_corrected', 'invoice_corrected');
