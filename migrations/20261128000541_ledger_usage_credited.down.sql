DELETE FROM ledger_kinds WHERE kind = 'usage_credited';
