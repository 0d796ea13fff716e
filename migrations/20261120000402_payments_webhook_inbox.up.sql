-- What the payment provider has sent: the bytes as they came, stored before anybody reads them, and how far each was dealt with.
CREATE TABLE payments_webhook_inbox (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    provider text NOT NULL,
    received_at timestamptz NOT NULL,
    signature_header text NOT NULL,
    body bytea NOT NULL,
    status text NOT NULL DEFAULT 'received'
        CHECK (status IN ('received', 'unreadable', 'duplicate', 'ignored', 'pending', 'processed')),
    event_id text,
    event_kind text,
    event_created_at timestamptz,
    subject_kind text CHECK (subject_kind IN ('payment', 'refund')),
    subject_id text,
    attempts integer NOT NULL DEFAULT 0,
    next_attempt_at timestamptz NOT NULL,
    last_error text,
    processed_at timestamptz,
    CHECK ((subject_kind IS NULL) = (subject_id IS NULL)),
    CHECK (event_id IS NOT NULL OR status IN ('received', 'unreadable')),
    CHECK (subject_id IS NOT NULL OR status <> 'pending')
);
COMMENT ON TABLE payments_webhook_inbox IS 'one row per delivery; an event counts once, its other deliveries are duplicates';
CREATE UNIQUE INDEX payments_webhook_inbox_once
    ON payments_webhook_inbox (provider, event_id) WHERE status <> 'duplicate';
CREATE INDEX payments_webhook_inbox_due ON payments_webhook_inbox (next_attempt_at, id) WHERE status = 'pending';

CREATE FUNCTION payments_webhook_inbox_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (NEW.id, NEW.provider, NEW.received_at, NEW.signature_header, NEW.body)
        IS DISTINCT FROM (OLD.id, OLD.provider, OLD.received_at, OLD.signature_header, OLD.body)
        OR (OLD.event_id IS NOT NULL AND NEW.event_id IS DISTINCT FROM OLD.event_id)
    THEN
        RAISE EXCEPTION 'what was received is never changed'
            USING ERRCODE = 'restrict_violation', CONSTRAINT = 'payments_webhook_inbox_bytes';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER bytes_stay BEFORE UPDATE ON payments_webhook_inbox
    FOR EACH ROW EXECUTE FUNCTION payments_webhook_inbox_guard();
ALTER TABLE payments_webhook_inbox ENABLE ALWAYS TRIGGER bytes_stay;
CREATE TRIGGER kept BEFORE DELETE OR TRUNCATE ON payments_webhook_inbox
    FOR EACH STATEMENT EXECUTE FUNCTION log_refuse_change();
ALTER TABLE payments_webhook_inbox ENABLE ALWAYS TRIGGER kept;

REVOKE UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER ON payments_webhook_inbox FROM cairn_app;
GRANT SELECT, INSERT ON payments_webhook_inbox TO cairn_app;
GRANT UPDATE (status, event_id, event_kind, event_created_at, subject_kind, subject_id, attempts, next_attempt_at,
    last_error, processed_at) ON payments_webhook_inbox TO cairn_app;
