-- The key of each subject, wrapped by a master key that is not in the database. Destroyed: what it sealed is lost, and that stays so.
CREATE TABLE privacy_subject_keys (
    subject      text        COLLATE "C" PRIMARY KEY,
    -- Fingerprint of the key.
    key_id       text        NOT NULL UNIQUE CHECK (key_id ~ '^[0-9a-f]{32}$'),
    wrapped      bytea,
    -- Fingerprint of the master key that wraps it.
    master_id    text        NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    destroyed_at timestamptz,
    CONSTRAINT privacy_subject_keys_destroyed CHECK ((wrapped IS NULL) = (destroyed_at IS NOT NULL))
);

CREATE FUNCTION privacy_subject_keys_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (NEW.subject, NEW.key_id, NEW.created_at) IS DISTINCT FROM (OLD.subject, OLD.key_id, OLD.created_at)
        OR (OLD.wrapped IS NULL AND NEW IS DISTINCT FROM OLD)
    THEN
        RAISE EXCEPTION 'the key of % is not exchanged, and once destroyed it does not come back', OLD.subject
            USING ERRCODE = 'restrict_violation', CONSTRAINT = 'privacy_subject_keys_guard';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER guard BEFORE UPDATE ON privacy_subject_keys
    FOR EACH ROW EXECUTE FUNCTION privacy_subject_keys_guard();
CREATE TRIGGER kept BEFORE DELETE OR TRUNCATE ON privacy_subject_keys
    FOR EACH STATEMENT EXECUTE FUNCTION log_refuse_change();
ALTER TABLE privacy_subject_keys ENABLE ALWAYS TRIGGER guard;
ALTER TABLE privacy_subject_keys ENABLE ALWAYS TRIGGER kept;

REVOKE ALL ON privacy_subject_keys FROM cairn_app;
GRANT SELECT, INSERT ON privacy_subject_keys TO cairn_app;
GRANT UPDATE (wrapped, master_id, destroyed_at) ON privacy_subject_keys TO cairn_app;

-- The bodies of webhooks name what somebody pays with, and often more. They are read when they come; an erasure empties them.
CREATE OR REPLACE FUNCTION payments_webhook_inbox_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (NEW.id, NEW.provider, NEW.received_at) IS DISTINCT FROM (OLD.id, OLD.provider, OLD.received_at)
        OR ((NEW.signature_header, NEW.body) IS DISTINCT FROM (OLD.signature_header, OLD.body)
            AND (NEW.signature_header, NEW.body) IS DISTINCT FROM ('erased'::text, 'erased'::bytea))
        OR (OLD.event_id IS NOT NULL AND NEW.event_id IS DISTINCT FROM OLD.event_id)
    THEN
        RAISE EXCEPTION 'what was received is never changed'
            USING ERRCODE = 'restrict_violation', CONSTRAINT = 'payments_webhook_inbox_bytes';
    END IF;
    RETURN NEW;
END
$$;

-- The deliveries about payments and refunds of an organisation, by what the provider calls them. How many were emptied.
CREATE FUNCTION privacy_empty_deliveries(in_provider_ids text[]) RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    WITH emptied AS (
        UPDATE payments_webhook_inbox SET body = 'erased', signature_header = 'erased'
        WHERE subject_id = ANY(in_provider_ids) AND body <> 'erased' RETURNING 1)
    SELECT count(*) FROM emptied
$$;
REVOKE EXECUTE ON FUNCTION privacy_empty_deliveries FROM PUBLIC;
GRANT EXECUTE ON FUNCTION privacy_empty_deliveries TO cairn_app;
