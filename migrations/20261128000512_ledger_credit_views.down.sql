DROP TABLE ledger_wallet_credits;
ALTER TABLE ledger_statement_lines DROP COLUMN promotional_nanos;
ALTER TABLE ledger_wallet_holds DROP COLUMN promotional_nanos;
ALTER TABLE ledger_wallets DROP COLUMN promotional_nanos, DROP COLUMN promotional_held_nanos;
