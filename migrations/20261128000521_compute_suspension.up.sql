-- A rental that is not paid for is suspended. The view needs no new fold: nothing was suspended before today.
ALTER TABLE compute_allocations ADD COLUMN stopped_at timestamptz;
ALTER TABLE compute_allocations ADD COLUMN idle_seconds bigint NOT NULL DEFAULT 0;
-- Where a wallet stands when its money runs out, and until when.
ALTER TABLE ledger_wallets ADD COLUMN dunning_stage text NOT NULL DEFAULT 'ok';
ALTER TABLE ledger_wallets ADD COLUMN dunning_until timestamptz;
