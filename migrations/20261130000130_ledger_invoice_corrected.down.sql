DROP INDEX ledger_statement_lines_charges;
CREATE INDEX ledger_statement_lines_charges ON ledger_statement_lines (organisation_id, currency, reference, position)
    WHERE kind IN ('usage', 'overrun', 'usage_corrected');
DELETE FROM ledger_kinds WHERE kind = 'invoice_corrected';
