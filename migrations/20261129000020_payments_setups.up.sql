-- Webhooks may be about the keeping of a payment method.
ALTER TABLE payments_webhook_inbox DROP CONSTRAINT payments_webhook_inbox_subject_kind_check,
    ADD CONSTRAINT payments_webhook_inbox_subject_kind_check CHECK (subject_kind IN ('payment', 'refund', 'dispute', 'setup'));
