DO $$
DECLARE
    guarded record;
BEGIN
    FOR guarded IN SELECT polrelid::regclass AS name, polname FROM pg_policy WHERE polname IN ('application', 'tenant') LOOP
        EXECUTE format('DROP POLICY %I ON %s', guarded.polname, guarded.name);
        EXECUTE format('ALTER TABLE %s DISABLE ROW LEVEL SECURITY, NO FORCE ROW LEVEL SECURITY', guarded.name);
        EXECUTE format('REVOKE ALL ON %s FROM cairn_tenant', guarded.name);
    END LOOP;
END
$$;
DROP FUNCTION tenancy_guard, tenancy_actor, tenancy_organisation;
REVOKE USAGE ON SCHEMA public FROM cairn_tenant;
-- Another database of the cluster may still need the role.
DO $$
BEGIN
    DROP ROLE cairn_tenant;
EXCEPTION WHEN dependent_objects_still_exist THEN
    NULL;
END
$$;
