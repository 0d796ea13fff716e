-- Credit notes: income and taxes of an invoice are given back, as paid money.
INSERT INTO ledger_kinds (kind, debit, credit) VALUES
    ('usage_credited', 'usage', 'wallet:paid'),
    ('usage_credited', 'tax', 'wallet:paid');
