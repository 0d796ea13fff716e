DROP TABLE finance_bank_lines;
DROP TABLE finance_bank_statements;
