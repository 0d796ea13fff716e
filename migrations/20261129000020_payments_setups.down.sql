-- What was received is never changed: without a webhook about a payment method, nothing stands in the way.
ALTER TABLE payments_webhook_inbox DROP CONSTRAINT payments_webhook_inbox_subject_kind_check,
    ADD CONSTRAINT payments_webhook_inbox_subject_kind_check CHECK (subject_kind IN ('payment', 'refund', 'dispute'));
