-- Changes of access that a process which died did not bring to the live connections.

-- Who may connect has changed, and the live connections and Redis's users have not followed yet.
ALTER TABLE sandboxes ADD COLUMN access_changed_at timestamptz;
CREATE INDEX sandboxes_access_changed_idx ON sandboxes (access_changed_at) WHERE access_changed_at IS NOT NULL;

-- Sessions in this database of sandboxes that do not run (any more).
CREATE FUNCTION end_barred_sandbox_sessions() RETURNS bigint
    LANGUAGE sql VOLATILE STRICT SET search_path = pg_catalog, pg_temp AS $$
    SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
     WHERE usename ~ '^sandbox_[0-9a-f]{8}$' AND datname = current_database() AND public.sandbox_role_exists(usename)
       AND NOT EXISTS (SELECT FROM public.sandboxes
                        WHERE schema_name = usename AND status = 'running' AND expires_at > now())
$$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA public FROM PUBLIC;
