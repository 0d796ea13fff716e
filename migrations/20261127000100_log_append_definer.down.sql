GRANT INSERT ON
    events, commands, ledger_accounts, ledger_journal_transactions, ledger_postings, ledger_balances, ledger_holds
TO cairn_app;
GRANT UPDATE ON log_head, ledger_balances, ledger_holds TO cairn_app;

GRANT EXECUTE ON FUNCTION ledger_post TO PUBLIC;
REVOKE EXECUTE ON FUNCTION log_append FROM cairn_app;
GRANT EXECUTE ON FUNCTION log_append TO PUBLIC;
ALTER FUNCTION log_append SECURITY INVOKER RESET search_path;
