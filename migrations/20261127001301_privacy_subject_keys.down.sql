DROP FUNCTION privacy_empty_deliveries;
CREATE OR REPLACE FUNCTION payments_webhook_inbox_guard() RETURNS trigger LANGUAGE plpgsql AS $$
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
DROP TABLE privacy_subject_keys;
DROP FUNCTION privacy_subject_keys_guard;
