-- The books: written in the append's own transaction, and constrained here, so that a bug can refuse money but never invent it.
-- Amounts are nanos of the account's currency; debit > 0, credit < 0.

-- What an account is, by the first segment of its code (domain/core/src/chart.rs says the same).
CREATE FUNCTION ledger_account_type(in_code text) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT CASE
        WHEN split_part(in_code, ':', 1) IN ('stripe', 'bank', 'clearing', 'receivable') THEN 'asset'
        WHEN split_part(in_code, ':', 1) IN ('wallet', 'refund_payable', 'tax', 'host_payable') THEN 'liability'
        WHEN split_part(in_code, ':', 1) IN ('usage', 'breakage') THEN 'income'
        WHEN split_part(in_code, ':', 1) IN ('stripe_fees', 'dispute_fees', 'dispute_loss', 'goodwill', 'promo') THEN 'expense'
        WHEN split_part(in_code, ':', 1) = 'equity' THEN 'equity'
    END
$$;

CREATE TABLE ledger_accounts (
    code            text    PRIMARY KEY,
    currency        text    NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    account_type    text    NOT NULL GENERATED ALWAYS AS (ledger_account_type(code)) STORED,
    -- A guarded account has a balance row that cannot be overdrawn.
    guarded         boolean NOT NULL GENERATED ALWAYS AS (starts_with(code, 'wallet:')) STORED,
    opened_position bigint  NOT NULL,
    CONSTRAINT ledger_accounts_code_ends_in_currency CHECK (right(code, 4) = ':' || currency)
);

-- One journal transaction per event that moves money; it is named by the event's position.
CREATE TABLE ledger_journal_transactions (
    position     bigint      PRIMARY KEY,
    kind         text        NOT NULL,
    source       text        NOT NULL CONSTRAINT ledger_journal_source_has_no_slash CHECK (strpos(source, '/') = 0),
    source_id    text        NOT NULL,
    -- Unique with source, for ever: the source has no slash.
    reference    text        NOT NULL GENERATED ALWAYS AS (source || '/' || source_id) STORED
                             CONSTRAINT ledger_journal_reference_unique UNIQUE,
    currency     text        NOT NULL,
    -- In the world, in the books' calendar (UTC), and in the log.
    occurred_at  timestamptz NOT NULL,
    effective_on date        NOT NULL,
    posted_at    timestamptz NOT NULL,
    reverses     text        CONSTRAINT ledger_journal_one_reversal UNIQUE
                             CONSTRAINT ledger_journal_reverses_exists REFERENCES ledger_journal_transactions (reference)
);

CREATE TABLE ledger_postings (
    position     bigint   NOT NULL,
    leg          smallint NOT NULL CHECK (leg >= 1),
    account      text     NOT NULL,
    currency     text     NOT NULL,
    amount_nanos bigint   NOT NULL CONSTRAINT ledger_postings_not_zero CHECK (amount_nanos <> 0),
    PRIMARY KEY (position, leg)
);
CREATE INDEX ledger_postings_by_account ON ledger_postings (account, position);

-- Guarded accounts only: platform accounts have no row that every posting would have to lock.
CREATE TABLE ledger_balances (
    account      text   PRIMARY KEY REFERENCES ledger_accounts (code),
    currency     text   NOT NULL,
    posted_nanos bigint NOT NULL DEFAULT 0,
    held_nanos   bigint NOT NULL DEFAULT 0 CONSTRAINT ledger_balances_held_not_negative CHECK (held_nanos >= 0),
    floor_nanos  bigint NOT NULL DEFAULT 0,
    -- The last event that changed it.
    position     bigint NOT NULL,
    CONSTRAINT ledger_balances_no_overdraft CHECK (posted_nanos - held_nanos >= floor_nanos)
) WITH (fillfactor = 70);

CREATE TABLE ledger_holds (
    hold_id        text        PRIMARY KEY,
    account        text        NOT NULL REFERENCES ledger_balances (account),
    currency       text        NOT NULL,
    reserved_nanos bigint      NOT NULL CHECK (reserved_nanos >= 0),
    captured_nanos bigint      NOT NULL CHECK (captured_nanos >= 0),
    released_nanos bigint      NOT NULL CHECK (released_nanos >= 0),
    expires_at     timestamptz NOT NULL,
    -- The last event that changed it.
    position       bigint      NOT NULL,
    CONSTRAINT ledger_holds_within_reserve CHECK (captured_nanos + released_nanos <= reserved_nanos)
) WITH (fillfactor = 70);
CREATE INDEX ledger_holds_by_account ON ledger_holds (account);

-- Which accounts a kind of movement may debit and credit: a balanced transaction can still be a wrong one.
CREATE TABLE ledger_kinds (
    kind   text NOT NULL,
    debit  text NOT NULL,
    credit text NOT NULL,
    PRIMARY KEY (kind, debit, credit)
);
INSERT INTO ledger_kinds (kind, debit, credit) VALUES
    ('top_up', 'stripe:pending', 'wallet:paid'),
    ('stripe_fee', 'stripe_fees', 'stripe:pending'),
    ('usage', 'wallet:paid', 'usage'),
    ('overrun', 'receivable:overrun', 'usage'),
    ('refund_reserved', 'wallet:paid', 'refund_payable'),
    ('refund_returned', 'refund_payable', 'wallet:paid'),
    ('refund_paid', 'refund_payable', 'stripe:pending'),
    ('refund_failed', 'stripe:pending', 'refund_payable');

-- When the books may be written: a movement takes effect in an open period.
CREATE TABLE ledger_periods (
    span   daterange PRIMARY KEY,
    status text      NOT NULL CHECK (status IN ('open', 'closed')),
    EXCLUDE USING gist (span WITH &&)
);
INSERT INTO ledger_periods (span, status) VALUES ('[2000-01-01,)', 'open');

SELECT log_make_append_only('ledger_accounts');
SELECT log_make_append_only('ledger_journal_transactions');
SELECT log_make_append_only('ledger_postings');
REVOKE DELETE, TRUNCATE ON ledger_balances, ledger_holds FROM cairn_app;
REVOKE INSERT, UPDATE, DELETE, TRUNCATE ON ledger_kinds, ledger_periods FROM cairn_app;
