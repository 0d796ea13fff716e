DROP FUNCTION log_make_append_only(regclass);
DROP FUNCTION log_refuse_change();
ALTER DEFAULT PRIVILEGES IN SCHEMA public REVOKE SELECT, INSERT, UPDATE, DELETE ON TABLES FROM cairn_app;
ALTER DEFAULT PRIVILEGES IN SCHEMA public REVOKE USAGE, SELECT ON SEQUENCES FROM cairn_app;
REVOKE ALL ON SCHEMA public FROM cairn_app;
-- Another database of the cluster may still need the role.
DO $$
BEGIN
    DROP ROLE cairn_app;
EXCEPTION WHEN dependent_objects_still_exist THEN
    NULL;
END
$$;
