-- Making and ending a sandbox goes neither through all roles nor through all relations of the database, for there may be
-- a thousand other ones.

-- A role is ours if it has the name of a sandbox's schema and is in the group sandbox_worker.
CREATE OR REPLACE FUNCTION sandbox_role_exists(role_name text) RETURNS boolean
    LANGUAGE sql STABLE STRICT SET search_path = pg_catalog, pg_temp AS $$
    SELECT EXISTS (SELECT FROM pg_auth_members
                    WHERE member = to_regrole(quote_ident(role_name)) AND roleid = to_regrole('sandbox_worker'))
$$;

-- What the sandbox's role, if it has one, may do with what its template has made. Safe to repeat.
-- To find what is in the schema, GRANT … ON ALL TABLES would read the whole of pg_class; pg_depend has an index for it.
CREATE OR REPLACE FUNCTION grant_sandbox_schema(sandbox_id uuid) RETURNS void
    LANGUAGE plpgsql STRICT SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    name constant text := public.sandbox_schema_name(sandbox_id);
    tables text;
    sequences text;
BEGIN
    IF NOT public.sandbox_role_exists(name) THEN
        RETURN;
    END IF;
    EXECUTE format('GRANT USAGE, CREATE ON SCHEMA %I TO %I', name, name);
    SELECT string_agg(format('%I.%I', name, relname), ', ') FILTER (WHERE relkind IN ('r', 'p', 'v', 'm', 'f')),
           string_agg(format('%I.%I', name, relname), ', ') FILTER (WHERE relkind = 'S')
      INTO tables, sequences
      FROM pg_depend JOIN pg_class ON pg_class.oid = objid
     WHERE classid = 'pg_class'::regclass
       AND refclassid = 'pg_namespace'::regclass AND refobjid = to_regnamespace(quote_ident(name));
    IF tables IS NOT NULL THEN
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON TABLE %s TO %I', tables, name);
    END IF;
    IF sequences IS NOT NULL THEN
        EXECUTE format('GRANT USAGE, SELECT ON SEQUENCE %s TO %I', sequences, name);
    END IF;
END $$;

-- In the transaction that has made the schema; safe to repeat. Without a password nobody can log in. The memberships come
-- last: after each of them the server works out anew which roles this one is a member of, that is, all sandboxes'.
CREATE OR REPLACE FUNCTION create_sandbox_role(sandbox_id uuid, valid_until timestamptz, max_connections integer)
    RETURNS void LANGUAGE plpgsql STRICT SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    role_name constant text := public.sandbox_schema_name(sandbox_id);
    inherit constant text := CASE WHEN current_setting('server_version_num')::int >= 160000
                                  THEN ' WITH INHERIT TRUE, SET FALSE' ELSE '' END;
BEGIN
    IF public.sandbox_role_exists(role_name) THEN
        RETURN;
    END IF;
    EXECUTE format('CREATE ROLE %I LOGIN CONNECTION LIMIT %s VALID UNTIL %L', role_name, max_connections, valid_until);
    EXECUTE format('ALTER ROLE %I SET search_path = %I', role_name, role_name);
    EXECUTE format('ALTER ROLE %I SET statement_timeout = %L', role_name, '60s');
    EXECUTE format('ALTER ROLE %I SET lock_timeout = %L', role_name, '10s');
    EXECUTE format('ALTER ROLE %I SET idle_in_transaction_session_timeout = %L', role_name, '60s');
    PERFORM public.mark_sandbox_role(sandbox_id);
    EXECUTE format('GRANT %I TO CURRENT_USER%s', role_name, inherit);  -- to end its sessions and drop what it owns
    EXECUTE format('GRANT sandbox_worker TO %I', role_name);
    PERFORM public.grant_sandbox_schema(sandbox_id);
END $$;

-- How many sessions there were to end.
CREATE OR REPLACE FUNCTION end_sandbox_sessions(sandbox_id uuid) RETURNS bigint
    LANGUAGE sql VOLATILE STRICT SET search_path = pg_catalog, pg_temp AS $$
    UPDATE public.sandbox_credentials AS credentials SET cut_at = clock_timestamp()
     WHERE credentials.sandbox_id = end_sandbox_sessions.sandbox_id;
    SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
     WHERE usesysid = to_regrole(public.sandbox_schema_name(end_sandbox_sessions.sandbox_id))
       AND public.sandbox_role_exists(public.sandbox_schema_name(end_sandbox_sessions.sandbox_id))
$$;
