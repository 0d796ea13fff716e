DROP INDEX ledger_statement_lines_charges;
DROP INDEX ledger_statement_lines_usage;
ALTER TABLE ledger_statement_lines DROP COLUMN tax_nanos;
ALTER TABLE compute_allocations
    DROP COLUMN tax_nanos,
    DROP COLUMN tax_treatment,
    DROP COLUMN tax_ppm,
    DROP COLUMN tax_name,
    DROP COLUMN tax_jurisdiction;
DROP TABLE catalog_taxes;
DELETE FROM ledger_kinds WHERE credit = 'tax';
