-- Which log this is: a copy of the database keeps it, another log has another.
CREATE TABLE log_identity (
    id     boolean PRIMARY KEY DEFAULT true CHECK (id),
    log_id bytea   NOT NULL CHECK (length(log_id) = 16)
);
INSERT INTO log_identity (log_id) VALUES (uuid_send(gen_random_uuid()));
SELECT log_make_append_only('log_identity');
REVOKE INSERT ON log_identity FROM cairn_app;

-- Blocks of the log, sealed. Each column but the leaves is part of what is signed.
CREATE TABLE log_seals (
    number           bigint  PRIMARY KEY CHECK (number >= 1),
    format           integer NOT NULL,
    log_id           bytea   NOT NULL CHECK (length(log_id) = 16),
    first_position   bigint  NOT NULL CHECK (first_position >= 1),
    last_position    bigint  NOT NULL,
    event_count      bigint  NOT NULL CHECK (event_count = last_position - first_position + 1 AND event_count >= 1),
    root             bytea   NOT NULL CHECK (length(root) = 32),
    -- Hash of the header before it; zeros before the first.
    previous         bytea   NOT NULL CHECK (length(previous) = 32),
    sealed_at_micros bigint  NOT NULL,
    key_id           bytea   NOT NULL CHECK (length(key_id) = 32),
    signature        bytea   NOT NULL CHECK (length(signature) = 64),
    -- The leaf of each event, one after the other: a wrong one is known by itself.
    leaves           bytea   NOT NULL CHECK (length(leaves) = 32 * event_count),
    CONSTRAINT log_seals_first_unique UNIQUE (first_position),
    CONSTRAINT log_seals_last_unique UNIQUE (last_position)
);
SELECT log_make_append_only('log_seals');

-- A block continues the one before it, whoever writes it.
CREATE FUNCTION log_seals_continue() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    before bigint := CASE NEW.number WHEN 1 THEN 0 ELSE
        (SELECT last_position FROM public.log_seals WHERE number = NEW.number - 1) END;
BEGIN
    IF NEW.first_position IS DISTINCT FROM before + 1 THEN
        RAISE EXCEPTION 'block % does not continue the one before it', NEW.number
            USING ERRCODE = 'restrict_violation', CONSTRAINT = 'log_seals_continue';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER continue BEFORE INSERT ON log_seals FOR EACH ROW EXECUTE FUNCTION log_seals_continue();
ALTER TABLE log_seals ENABLE ALWAYS TRIGGER continue;
