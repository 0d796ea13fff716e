-- Without the segments nobody would find the bulk again.
DO $$
BEGIN
    IF EXISTS (SELECT FROM events WHERE segment IS NOT NULL) THEN
        RAISE EXCEPTION 'the bulk of events is in the archive: bring it back first (cairn archive restore)';
    END IF;
END
$$;
DROP FUNCTION log_segment_record, log_archive, log_restore;
DROP TRIGGER append_only_moves ON events;
DROP TRIGGER append_only_others ON events;
DROP TRIGGER append_only ON events;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON events
    FOR EACH STATEMENT EXECUTE FUNCTION log_refuse_change();
ALTER TABLE events ENABLE ALWAYS TRIGGER append_only;
DROP FUNCTION log_refuse_others, log_event_moves, log_leaf;
DROP TABLE log_segments;
ALTER TABLE events DROP COLUMN segment;
