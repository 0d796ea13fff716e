-- The bulk of closed ranges lies in an archive: payload and metadata of an event go there and may come back, its row stays, and
-- with it the order, the unique indexes, the commands' outcomes and what the books refer to.
ALTER TABLE events
    -- Where its bulk is; null when it is here. Moved bulk reads as JSON's null.
    ADD COLUMN segment bigint;

-- What was written to the archive and read back: whole sealed blocks. The latest record of a range is the one that counts.
CREATE TABLE log_segments (
    number         bigint      PRIMARY KEY CHECK (number >= 1),
    first_block    bigint      NOT NULL,
    last_block     bigint      NOT NULL CHECK (last_block >= first_block),
    first_position bigint      NOT NULL CHECK (first_position >= 1),
    last_position  bigint      NOT NULL CHECK (last_position >= first_position),
    -- Its name there.
    object         text        NOT NULL,
    byte_length    bigint      NOT NULL CHECK (byte_length >= 1),
    -- SHA-256 of its bytes.
    digest         bytea       NOT NULL CHECK (length(digest) = 32),
    recorded_at    timestamptz NOT NULL
);
SELECT log_make_append_only('log_segments');
REVOKE INSERT ON log_segments FROM cairn_app;

-- The leaf of an event in the tree of its block, from the columns as they are stored: what a seal was made over.
CREATE FUNCTION log_leaf(e events) RETURNS bytea LANGUAGE plpgsql STABLE AS $$
DECLARE
    bytes bytea := '\x00';
    field bytea;
BEGIN
    FOREACH field IN ARRAY ARRAY[
        'cairn.event.1'::bytea, int8send(e.position), int8send((extract(epoch FROM e.recorded_at) * 1000000)::bigint),
        convert_to(e.command_id, 'UTF8'), convert_to(e.aggregate_type, 'UTF8'), convert_to(e.aggregate_id, 'UTF8'),
        int8send(e.sequence), convert_to(e.event_type, 'UTF8'), convert_to(e.event_version, 'UTF8'),
        convert_to(e.payload::text, 'UTF8'), convert_to(e.metadata::text, 'UTF8')]
    LOOP
        bytes := bytes || int8send(length(field)::bigint) || field;
    END LOOP;
    RETURN sha256(bytes);
END
$$;

-- The one change of an event: its bulk goes into a recorded segment, or comes back, and either way is what was sealed.
CREATE FUNCTION log_event_moves() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    before public.events := OLD;
    after public.events := NEW;
    whole public.events := CASE WHEN OLD.segment IS NULL THEN OLD ELSE NEW END;
    goes boolean := OLD.segment IS NULL AND NEW.segment IS NOT NULL
        AND NEW.payload::text = 'null' AND NEW.metadata::text = 'null';
    returns boolean := OLD.segment IS NOT NULL AND NEW.segment IS NULL;
    sealed bytea;
BEGIN
    before.payload := 'null'; before.metadata := 'null'; before.segment := NULL;
    after.payload := 'null'; after.metadata := 'null'; after.segment := NULL;
    IF before::text IS DISTINCT FROM after::text OR NOT (goes OR returns)
        OR goes AND NOT EXISTS (
            SELECT FROM public.log_segments s
            WHERE s.number = NEW.segment AND NEW.position BETWEEN s.first_position AND s.last_position)
    THEN
        RAISE EXCEPTION '% of % is refused: it is append-only', TG_OP, TG_TABLE_NAME
            USING ERRCODE = 'restrict_violation', CONSTRAINT = TG_TABLE_NAME || '_append_only';
    END IF;
    SELECT substring(b.leaves FROM (32 * (NEW.position - b.first_position) + 1)::int FOR 32) INTO sealed
    FROM public.log_seals b WHERE b.last_position >= NEW.position ORDER BY b.last_position LIMIT 1;
    IF sealed IS DISTINCT FROM public.log_leaf(whole) THEN
        RAISE EXCEPTION 'position % is not as it was sealed, so its bulk stays where it is', NEW.position
            USING ERRCODE = 'restrict_violation', CONSTRAINT = 'events_as_sealed';
    END IF;
    RETURN NEW;
END
$$;

-- A statement that changes events is refused as before, except to the owner, whose functions move bulk, row by row.
CREATE FUNCTION log_refuse_others() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM pg_class c JOIN pg_roles r ON r.oid = c.relowner
        WHERE c.oid = TG_RELID AND r.rolname = current_user)
    THEN
        RAISE EXCEPTION '% of % is refused: it is append-only', TG_OP, TG_TABLE_NAME
            USING ERRCODE = 'restrict_violation', CONSTRAINT = TG_TABLE_NAME || '_append_only';
    END IF;
    RETURN NULL;
END
$$;
DROP TRIGGER append_only ON events;
CREATE TRIGGER append_only BEFORE DELETE OR TRUNCATE ON events FOR EACH STATEMENT EXECUTE FUNCTION log_refuse_change();
CREATE TRIGGER append_only_others BEFORE UPDATE ON events FOR EACH STATEMENT EXECUTE FUNCTION log_refuse_others();
CREATE TRIGGER append_only_moves BEFORE UPDATE ON events FOR EACH ROW EXECUTE FUNCTION log_event_moves();
ALTER TABLE events ENABLE ALWAYS TRIGGER append_only;
ALTER TABLE events ENABLE ALWAYS TRIGGER append_only_others;
ALTER TABLE events ENABLE ALWAYS TRIGGER append_only_moves;

-- Records a segment that was written and read back, and returns its number; the one it has when it is recorded already.
CREATE FUNCTION log_segment_record(
    in_first_block bigint, in_last_block bigint, in_object text, in_byte_length bigint, in_digest bytea
) RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    range_first bigint := (SELECT first_position FROM log_seals WHERE number = in_first_block);
    range_last bigint := (SELECT last_position FROM log_seals WHERE number = in_last_block);
    known bigint;
BEGIN
    LOCK TABLE log_segments IN SHARE ROW EXCLUSIVE MODE;
    SELECT number INTO known FROM log_segments
    WHERE first_block = in_first_block AND last_block = in_last_block AND object = in_object
      AND byte_length = in_byte_length AND digest = in_digest
    ORDER BY number DESC LIMIT 1;
    IF known IS NOT NULL THEN
        RETURN known;
    END IF;
    IF EXISTS (SELECT FROM events WHERE position BETWEEN range_first AND range_last AND segment IS NOT NULL) THEN
        RAISE EXCEPTION 'a part of the positions % to % is in another segment', range_first, range_last
            USING ERRCODE = 'restrict_violation', CONSTRAINT = 'log_segments_apart';
    END IF;
    INSERT INTO log_segments
        (number, first_block, last_block, first_position, last_position, object, byte_length, digest, recorded_at)
    SELECT coalesce(max(number), 0) + 1, in_first_block, in_last_block, range_first, range_last, in_object, in_byte_length,
           in_digest, clock_timestamp()
    FROM log_segments
    RETURNING number INTO known;
    RETURN known;
END
$$;

-- Lets go of the bulk of exactly the range of a segment. Returns how many events that were; none when it was done before.
CREATE FUNCTION log_archive(in_segment bigint) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    s log_segments;
    moved bigint;
BEGIN
    LOCK TABLE log_segments IN SHARE ROW EXCLUSIVE MODE;
    SELECT * INTO STRICT s FROM log_segments WHERE number = in_segment;
    UPDATE events SET payload = 'null', metadata = 'null', segment = in_segment
    WHERE position BETWEEN s.first_position AND s.last_position AND segment IS NULL;
    GET DIAGNOSTICS moved = ROW_COUNT;
    IF s.last_position - s.first_position + 1 <> (
        SELECT count(*) FROM events WHERE position BETWEEN s.first_position AND s.last_position AND segment = in_segment)
    THEN
        RAISE EXCEPTION 'a part of the positions % to % is missing, or in another segment', s.first_position, s.last_position
            USING ERRCODE = 'restrict_violation', CONSTRAINT = 'log_segments_apart';
    END IF;
    RETURN moved;
END
$$;

-- Brings the bulk of a segment's events back. Returns how many events that were.
CREATE FUNCTION log_restore(in_segment bigint, in_positions bigint[], in_payloads text[], in_metadatas text[]) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    returned bigint;
BEGIN
    LOCK TABLE log_segments IN SHARE ROW EXCLUSIVE MODE;
    UPDATE events e SET payload = b.payload::json, metadata = b.metadata::json, segment = NULL
    FROM unnest(in_positions, in_payloads, in_metadatas) AS b (position, payload, metadata)
    WHERE e.position = b.position AND e.segment = in_segment;
    GET DIAGNOSTICS returned = ROW_COUNT;
    RETURN returned;
END
$$;
REVOKE EXECUTE ON FUNCTION log_segment_record, log_archive, log_restore FROM PUBLIC;
GRANT EXECUTE ON FUNCTION log_segment_record, log_archive, log_restore TO cairn_app;
