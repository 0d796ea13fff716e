DROP TABLE ledger_statement_lines;
DROP TABLE ledger_wallet_holds;
DROP TABLE ledger_wallets;
