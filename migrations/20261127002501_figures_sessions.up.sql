-- How the sessions of this server stand, in numbers only: the application's role may not see those of others, and need not.
CREATE FUNCTION figures_sessions(OUT state text, OUT sessions bigint, OUT waiting bigint, OUT oldest_seconds float8)
RETURNS SETOF record LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
    SELECT coalesce(a.state, 'unknown'), count(*), count(*) FILTER (WHERE a.wait_event_type = 'Lock'),
           coalesce(max(extract(epoch FROM now() - a.xact_start)) FILTER (WHERE a.datname = current_database()), 0)::float8
    FROM pg_stat_activity a WHERE a.backend_type = 'client backend' AND a.pid <> pg_backend_pid() GROUP BY 1
$$;
REVOKE ALL ON FUNCTION figures_sessions FROM PUBLIC;
GRANT EXECUTE ON FUNCTION figures_sessions TO cairn_app;
