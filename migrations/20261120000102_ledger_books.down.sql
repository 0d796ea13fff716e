DROP TABLE ledger_periods;
DROP TABLE ledger_kinds;
DROP TABLE ledger_holds;
DROP TABLE ledger_balances;
DROP TABLE ledger_postings;
DROP TABLE ledger_journal_transactions;
DROP TABLE ledger_accounts;
DROP FUNCTION ledger_account_type(text);
