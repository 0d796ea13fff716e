-- What is built again begins at the first event again.
DELETE FROM projection_parked WHERE projection LIKE 'ledger/%';
DELETE FROM projection_checkpoints WHERE name LIKE 'ledger/%';
DROP TABLE ledger_statement_lines;
DROP TABLE ledger_wallet_holds;
DROP TABLE ledger_wallets;
