-- What was received is never changed: without a webhook about a dispute, nothing stands in the way.
ALTER TABLE payments_webhook_inbox DROP CONSTRAINT payments_webhook_inbox_subject_kind_check,
    ADD CONSTRAINT payments_webhook_inbox_subject_kind_check CHECK (subject_kind IN ('payment', 'refund'));
DELETE FROM ledger_kinds WHERE kind IN
    ('dispute_withdrawn', 'dispute_reinstated', 'dispute_fee', 'dispute_fee_returned', 'dispute_lost');
