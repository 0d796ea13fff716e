DROP INDEX ledger_journal_of_banks;
