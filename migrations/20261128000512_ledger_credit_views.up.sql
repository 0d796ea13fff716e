-- Promotional credit in the views of wallets: what of their sums it is, and the grants one by one.
ALTER TABLE ledger_wallets
    ADD COLUMN promotional_nanos bigint NOT NULL DEFAULT 0,
    ADD COLUMN promotional_held_nanos bigint NOT NULL DEFAULT 0;
-- What a hold still has set aside of it.
ALTER TABLE ledger_wallet_holds ADD COLUMN promotional_nanos bigint NOT NULL DEFAULT 0;
ALTER TABLE ledger_statement_lines ADD COLUMN promotional_nanos bigint NOT NULL DEFAULT 0;

CREATE TABLE ledger_wallet_credits (
    credit_id text PRIMARY KEY,
    organisation_id text NOT NULL,
    currency text NOT NULL,
    amount_nanos bigint NOT NULL,
    used_nanos bigint NOT NULL,
    expired_nanos bigint NOT NULL,
    remaining_nanos bigint NOT NULL,
    granted_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    -- As it is stored: sealed.
    reason text NOT NULL,
    position bigint NOT NULL UNIQUE
);
CREATE INDEX ledger_wallet_credits_wallet ON ledger_wallet_credits (organisation_id, currency, expires_at);

GRANT SELECT, INSERT, UPDATE, DELETE ON ledger_wallet_credits TO cairn_app;
SELECT tenancy_guard('ledger_wallet_credits', 'organisation_id = tenancy_organisation()');
