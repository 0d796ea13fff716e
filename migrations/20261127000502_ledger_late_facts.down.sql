DROP TRIGGER place_late ON ledger_journal_transactions;
DROP FUNCTION ledger_place_late();
