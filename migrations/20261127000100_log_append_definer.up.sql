-- Only log_append writes the log and the books: it acts as the owner of the tables, and whoever calls it may not write them
-- otherwise. Positions are then dense and the head is theirs by right, not by convention. Triggers and constraints bite the
-- owner as they bite everybody.
-- The caller's search path is not asked which tables are meant.
ALTER FUNCTION log_append SECURITY DEFINER SET search_path = public, pg_temp;
REVOKE EXECUTE ON FUNCTION log_append FROM PUBLIC;
GRANT EXECUTE ON FUNCTION log_append TO cairn_app;
-- Part of the same, and called by it alone.
REVOKE EXECUTE ON FUNCTION ledger_post FROM PUBLIC;

REVOKE INSERT, UPDATE ON
    events, commands, log_head,
    ledger_accounts, ledger_journal_transactions, ledger_postings, ledger_balances, ledger_holds
FROM cairn_app;
