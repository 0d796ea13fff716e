-- Disputes: what the provider takes back is owed to us until it is decided who is right, and then the customer's or the provider's again.
INSERT INTO ledger_kinds (kind, debit, credit) VALUES
    ('dispute_withdrawn', 'receivable:dispute', 'stripe:pending'),
    ('dispute_reinstated', 'stripe:pending', 'receivable:dispute'),
    ('dispute_fee', 'dispute_fees', 'stripe:pending'),
    ('dispute_fee_returned', 'stripe:pending', 'dispute_fees'),
    ('dispute_lost', 'wallet:paid', 'receivable:dispute'),
    ('dispute_lost', 'receivable:customer', 'receivable:dispute');

ALTER TABLE payments_webhook_inbox DROP CONSTRAINT payments_webhook_inbox_subject_kind_check,
    ADD CONSTRAINT payments_webhook_inbox_subject_kind_check CHECK (subject_kind IN ('payment', 'refund', 'dispute'));
