-- Payouts: what has left the provider is in transit until the bank has it, or until the provider has it again.
INSERT INTO ledger_kinds (kind, debit, credit) VALUES
    ('payout', 'clearing:payout_in_transit', 'stripe:pending'),
    ('payout_returned', 'stripe:pending', 'clearing:payout_in_transit'),
    ('payout_arrived', 'bank', 'clearing:payout_in_transit'),
    ('payout_taken_back', 'clearing:payout_in_transit', 'bank');

-- What the provider says of a payout beside its lines, copied like them: another content is another row, and the latest counts.
CREATE TABLE finance_external_payouts (
    payout_id   text        NOT NULL,
    content     text        NOT NULL,
    items       text        NOT NULL CHECK (items IN ('complete', 'not_yet', 'never')),
    descriptor  text,
    trace       text,
    arrives_at  timestamptz NOT NULL,
    mirrored_at timestamptz NOT NULL,
    PRIMARY KEY (payout_id, content)
);
SELECT log_make_append_only('finance_external_payouts');

-- The lines that a payout is made of, when the provider has said so completely.
CREATE TABLE finance_payout_items (
    payout_id      text   NOT NULL,
    transaction_id text   NOT NULL,
    currency       text   NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    net_nanos      bigint NOT NULL,
    PRIMARY KEY (payout_id, transaction_id)
);
SELECT log_make_append_only('finance_payout_items');

-- Every reconciliation asks which payouts are not in the books.
CREATE INDEX finance_external_of_payouts ON finance_external_transactions (created_at, id)
    WHERE category IN ('payout', 'payout_failure', 'payout_cancel', 'payout_reversal');
