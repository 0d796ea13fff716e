-- The role that the application acts as. Roles belong to the whole cluster, so another database may have made it already,
-- or be making it at this moment.
DO $$
BEGIN
    CREATE ROLE cairn_app NOLOGIN;
EXCEPTION WHEN duplicate_object OR unique_violation THEN
    NULL;
END
$$;

-- Whoever migrates may act as it.
DO $$
BEGIN
    FOR attempt IN 1..20 LOOP
        EXIT WHEN pg_has_role(current_user, 'cairn_app', 'MEMBER');
        BEGIN
            EXECUTE format('GRANT cairn_app TO %I', current_user);
        EXCEPTION WHEN unique_violation OR internal_error THEN
            PERFORM pg_sleep(0.05);
        END;
    END LOOP;
END
$$;

GRANT USAGE ON SCHEMA public TO cairn_app;
-- Read models, process tables and inboxes of later migrations; the log and the journal take the rights to change back.
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO cairn_app;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT USAGE, SELECT ON SEQUENCES TO cairn_app;

CREATE FUNCTION log_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% of % is refused: it is append-only', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation', CONSTRAINT = TG_TABLE_NAME || '_append_only';
END
$$;

-- Makes a table append-only, by triggers and by the application's rights.
CREATE FUNCTION log_make_append_only(in_table regclass) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format(
        'CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON %s
         FOR EACH STATEMENT EXECUTE FUNCTION log_refuse_change()', in_table);
    EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER append_only', in_table);
    EXECUTE format('REVOKE UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER ON %s FROM cairn_app', in_table);
    EXECUTE format('GRANT SELECT, INSERT ON %s TO cairn_app', in_table);
END
$$;
