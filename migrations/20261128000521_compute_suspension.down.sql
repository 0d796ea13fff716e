ALTER TABLE ledger_wallets DROP COLUMN dunning_until;
ALTER TABLE ledger_wallets DROP COLUMN dunning_stage;
ALTER TABLE compute_allocations DROP COLUMN idle_seconds;
ALTER TABLE compute_allocations DROP COLUMN stopped_at;
