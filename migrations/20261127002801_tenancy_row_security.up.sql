-- Row-level security behind the table of roles: whoever reads for a customer does so as the role `cairn_tenant`, which may only
-- read, and to which rows of others do not exist, whatever a query says. Roles belong to the whole cluster, so another database may
-- have made it already, or be making it at this moment.
DO $$
BEGIN
    CREATE ROLE cairn_tenant NOLOGIN;
EXCEPTION WHEN duplicate_object OR unique_violation THEN
    NULL;
END
$$;

-- Who acts as the application may go on as the tenant.
DO $$
BEGIN
    FOR attempt IN 1..20 LOOP
        EXIT WHEN pg_has_role('cairn_app', 'cairn_tenant', 'MEMBER');
        BEGIN
            GRANT cairn_tenant TO cairn_app;
        EXCEPTION WHEN unique_violation OR internal_error THEN
            PERFORM pg_sleep(0.05);
        END;
    END LOOP;
END
$$;

GRANT USAGE ON SCHEMA public TO cairn_tenant;

-- A server that logs in as a member of the application's role, and owns nothing, looks here whether the schema is what it needs.
DO $$
BEGIN
    IF to_regclass('public._sqlx_migrations') IS NOT NULL THEN
        GRANT SELECT ON public._sqlx_migrations TO cairn_app;
    END IF;
END
$$;

-- For whom a transaction reads. Unset or empty, it reads for nobody: no id is empty.
CREATE FUNCTION tenancy_organisation() RETURNS text LANGUAGE sql STABLE PARALLEL SAFE
AS $$ SELECT current_setting('cairn.organisation', true) $$;
CREATE FUNCTION tenancy_actor() RETURNS text LANGUAGE sql STABLE PARALLEL SAFE
AS $$ SELECT current_setting('cairn.actor', true) $$;

-- From here on the application reads and writes a table as before, its owner no more than the application, and the tenant sees
-- the rows of which the rule is true; without a rule, it may not ask.
CREATE FUNCTION tenancy_guard(in_table regclass, in_rule text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', in_table);
    EXECUTE format('CREATE POLICY application ON %s TO cairn_app USING (true) WITH CHECK (true)', in_table);
    IF in_rule IS NOT NULL THEN
        EXECUTE format('CREATE POLICY tenant ON %s FOR SELECT TO cairn_tenant USING (%s)', in_table, in_rule);
        EXECUTE format('GRANT SELECT ON %s TO cairn_tenant', in_table);
    END IF;
END
$$;

SELECT tenancy_guard(owned::regclass, 'organisation_id = tenancy_organisation()')
FROM unnest(ARRAY[
    'ledger_wallets', 'ledger_wallet_holds', 'ledger_statement_lines', 'payments_payments', 'payments_refunds',
    'compute_allocations', 'compute_timeline_entries', 'identity_api_keys', 'identity_invitations', 'identity_grants',
    'notify_endpoints', 'notify_targets', 'operations_inbox_notices'
]) AS owned;

-- People see what they belong to, and organisations who belongs to them.
SELECT tenancy_guard('identity_members', 'organisation_id = tenancy_organisation() OR user_id = tenancy_actor()');
SELECT tenancy_guard('identity_users', 'user_id = tenancy_actor() OR EXISTS (SELECT FROM identity_members m
    WHERE m.user_id = identity_users.user_id AND m.organisation_id = tenancy_organisation())');
SELECT tenancy_guard('identity_organisations', 'organisation_id = tenancy_organisation() OR EXISTS (SELECT FROM identity_members m
    WHERE m.organisation_id = identity_organisations.organisation_id AND m.user_id = tenancy_actor())');
SELECT tenancy_guard('identity_sessions', 'user_id = tenancy_actor()');
SELECT tenancy_guard('identity_identities', 'user_id = tenancy_actor()');
SELECT tenancy_guard('identity_consents', 'user_id = tenancy_actor()');
SELECT tenancy_guard('identity_erasures', 'user_id = tenancy_actor()');

-- What has no owner of its own is seen with what it hangs on.
SELECT tenancy_guard('identity_key_uses', 'EXISTS (SELECT FROM identity_api_keys k WHERE k.key_id = identity_key_uses.key_id)');
SELECT tenancy_guard('identity_session_uses',
    'EXISTS (SELECT FROM identity_sessions s WHERE s.session_id = identity_session_uses.session_id)');
SELECT tenancy_guard('compute_addresses',
    'EXISTS (SELECT FROM compute_allocations a WHERE a.node_id = compute_addresses.node_id)');
SELECT tenancy_guard('notify_deliveries',
    'EXISTS (SELECT FROM notify_targets t WHERE t.endpoint_id = notify_deliveries.endpoint_id)');
SELECT tenancy_guard('notify_attempts',
    'EXISTS (SELECT FROM notify_targets t WHERE t.endpoint_id = notify_attempts.endpoint_id)');
SELECT tenancy_guard('operations_inbox_marks', 'actor = tenancy_actor()');
SELECT tenancy_guard('operations_inbox_reads', 'actor = tenancy_actor()');

-- Nothing of these is told to customers.
SELECT tenancy_guard('operations_audit_entries', NULL);
SELECT tenancy_guard('identity_links', NULL);
SELECT tenancy_guard('operations_feature_flag_overrides', NULL);
