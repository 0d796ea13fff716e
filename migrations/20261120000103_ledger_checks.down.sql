DROP FUNCTION ledger_post(bigint[], json, timestamptz);
DROP TRIGGER ledger_journal_has_legs ON ledger_journal_transactions;
DROP FUNCTION ledger_check_legs();
DROP TRIGGER check_postings ON ledger_postings;
DROP FUNCTION ledger_check_postings();
DROP TRIGGER check_journal ON ledger_journal_transactions;
DROP FUNCTION ledger_check_journal();
