-- Since PostgreSQL 16 whoever makes a role may give it away, but not act as it. Whoever migrates gives it to itself.
DO $$
BEGIN
    IF current_setting('server_version_num')::int < 160000 THEN
        RETURN;
    END IF;
    FOR attempt IN 1..20 LOOP
        EXIT WHEN pg_has_role(current_user, 'cairn_app', 'SET');
        BEGIN
            EXECUTE format('GRANT cairn_app TO %I WITH INHERIT TRUE, SET TRUE', current_user);
        EXCEPTION WHEN unique_violation OR internal_error THEN
            -- Another database of this cluster is migrated at this moment.
            PERFORM pg_sleep(0.05);
        END;
    END LOOP;
END
$$;
