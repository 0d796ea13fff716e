DROP INDEX ledger_statement_lines_charges;
CREATE INDEX ledger_statement_lines_charges ON ledger_statement_lines (organisation_id, currency, reference, position)
    WHERE kind IN ('usage', 'overrun');
DROP INDEX ledger_statement_lines_usage;
CREATE INDEX ledger_statement_lines_usage ON ledger_statement_lines (organisation_id, currency, occurred_at)
    WHERE kind IN ('usage', 'overrun');
ALTER TABLE compute_allocations DROP COLUMN corrected_seconds;
DELETE FROM ledger_kinds WHERE kind = 'usage_corrected';
