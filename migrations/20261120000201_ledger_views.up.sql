-- Views of wallets, folded from events. The guarded balances are in ledger_balances, written with the events themselves.
CREATE TABLE ledger_wallets (
    organisation_id text NOT NULL,
    currency text NOT NULL,
    posted_nanos bigint NOT NULL,
    held_nanos bigint NOT NULL,
    owed_nanos bigint NOT NULL,
    opened_at timestamptz NOT NULL,
    position bigint NOT NULL UNIQUE,
    PRIMARY KEY (organisation_id, currency)
);

CREATE TABLE ledger_wallet_holds (
    hold_id text PRIMARY KEY,
    organisation_id text NOT NULL,
    currency text NOT NULL,
    purpose text NOT NULL,
    reserved_nanos bigint NOT NULL,
    captured_nanos bigint NOT NULL,
    released_nanos bigint NOT NULL,
    status text NOT NULL,
    expires_at timestamptz NOT NULL,
    position bigint NOT NULL UNIQUE
);
CREATE INDEX ledger_wallet_holds_wallet ON ledger_wallet_holds (organisation_id, currency, position);

CREATE TABLE ledger_statement_lines (
    position bigint PRIMARY KEY,
    organisation_id text NOT NULL,
    currency text NOT NULL,
    kind text NOT NULL,
    amount_nanos bigint NOT NULL,
    owed_nanos bigint NOT NULL,
    balance_nanos bigint NOT NULL,
    reference text NOT NULL,
    seconds bigint,
    occurred_at timestamptz NOT NULL
);
CREATE INDEX ledger_statement_lines_wallet ON ledger_statement_lines (organisation_id, currency, position);

GRANT SELECT, INSERT, UPDATE, DELETE ON ledger_wallets, ledger_wallet_holds, ledger_statement_lines TO cairn_app;
