-- Payouts at the bank are few, and every look at the bank's lines reads all of them.
CREATE INDEX ledger_journal_of_banks ON ledger_journal_transactions (position) WHERE source = 'bank';
