-- Breaks as cases: what they may post, and the view of them.
CREATE OR REPLACE FUNCTION ledger_account_type(in_code text) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT CASE
        WHEN split_part(in_code, ':', 1) IN ('stripe', 'bank', 'clearing', 'receivable', 'suspense') THEN 'asset'
        WHEN split_part(in_code, ':', 1) IN ('wallet', 'refund_payable', 'tax', 'host_payable') THEN 'liability'
        WHEN split_part(in_code, ':', 1) IN ('usage', 'breakage') THEN 'income'
        WHEN split_part(in_code, ':', 1) IN ('stripe_fees', 'dispute_fees', 'dispute_loss', 'goodwill', 'promo', 'write_offs') THEN 'expense'
        WHEN split_part(in_code, ':', 1) = 'equity' THEN 'equity'
    END
$$;

-- The provider's account on one side, and no wallet on the other: what a customer has is decided by the wallet alone.
INSERT INTO ledger_kinds (kind, debit, credit)
SELECT 'break_correction', pair.debit, pair.credit
FROM unnest(ARRAY['bank', 'clearing', 'refund_payable', 'stripe_fees', 'suspense', 'receivable:dispute']) AS other (account),
     LATERAL (VALUES ('stripe:pending', other.account), (other.account, 'stripe:pending')) AS pair (debit, credit);
INSERT INTO ledger_kinds (kind, debit, credit) VALUES
    ('break_write_off', 'stripe:pending', 'write_offs'),
    ('break_write_off', 'write_offs', 'stripe:pending');

-- Corrections are few, and every reconciliation reads all of them.
CREATE INDEX ledger_journal_of_breaks ON ledger_journal_transactions (position) WHERE source = 'break';

CREATE TABLE finance_breaks (
    break_id text PRIMARY KEY,
    position bigint NOT NULL UNIQUE,
    break_type text NOT NULL,
    transaction_id text,
    source_id text,
    reference text,
    currency text NOT NULL,
    provider_nanos bigint,
    books_nanos bigint,
    difference_nanos bigint NOT NULL,
    occurred_at timestamptz NOT NULL,
    message text NOT NULL,
    status text NOT NULL,
    found_at timestamptz NOT NULL,
    changed_at timestamptz NOT NULL,
    owner text,
    due_at timestamptz,
    cause text,
    proposed_by text,
    approved_by text,
    debit text,
    credit text,
    amount_nanos bigint,
    posted_position bigint
);
CREATE INDEX finance_breaks_open ON finance_breaks (position) WHERE status IN ('open', 'proposed');

GRANT SELECT, INSERT, UPDATE, DELETE ON finance_breaks TO cairn_app;
