-- A sandbox's own login, named like its schema. It may use and create in the schema but does not own it: an owner could
-- plant a trigger that runs as the bot. The id stands in no name and no comment here, for other roles can list those.

-- What a token is checked by; the token itself is kept nowhere.
CREATE TABLE sandbox_credentials (
    sandbox_id     uuid PRIMARY KEY REFERENCES sandboxes (id),
    scram_verifier text NOT NULL,
    token_sha256   text NOT NULL CONSTRAINT sandbox_credentials_token_sha256_check CHECK (token_sha256 ~ '^[0-9a-f]{64}$'),
    issued_at      timestamptz NOT NULL DEFAULT now(),
    -- A session that began earlier was let in by an earlier token.
    cut_at         timestamptz NOT NULL DEFAULT now()
);

-- Who may connect has changed, and the live connections and Redis's users have not followed yet.
ALTER TABLE sandboxes ADD COLUMN access_changed_at timestamptz;
CREATE INDEX sandboxes_access_changed_idx ON sandboxes (access_changed_at) WHERE access_changed_at IS NOT NULL;

-- A role is ours if it has the name of a sandbox's schema and is in the group sandbox_worker.
CREATE FUNCTION sandbox_role_exists(role_name text) RETURNS boolean
    LANGUAGE sql STABLE STRICT SET search_path = pg_catalog, pg_temp AS $$
    SELECT EXISTS (SELECT FROM pg_auth_members AS membership
                     JOIN pg_roles AS member ON member.oid = membership.member
                     JOIN pg_roles AS worker ON worker.oid = membership.roleid
                    WHERE member.rolname = role_name AND worker.rolname = 'sandbox_worker')
$$;

-- What the sandbox's role, if it has one, may do with what its template has made. Safe to repeat.
CREATE FUNCTION grant_sandbox_schema(sandbox_id uuid) RETURNS void
    LANGUAGE plpgsql STRICT SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    name constant text := public.sandbox_schema_name(sandbox_id);
BEGIN
    IF NOT public.sandbox_role_exists(name) THEN
        RETURN;
    END IF;
    EXECUTE format('GRANT USAGE, CREATE ON SCHEMA %I TO %I', name, name);
    EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA %I TO %I', name, name);
    EXECUTE format('GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA %I TO %I', name, name);
END $$;

-- In the transaction that has made the schema; safe to repeat. Without a password nobody can log in.
CREATE FUNCTION create_sandbox_role(sandbox_id uuid, valid_until timestamptz, max_connections integer)
    RETURNS void LANGUAGE plpgsql STRICT SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    role_name constant text := public.sandbox_schema_name(sandbox_id);
    inherit constant text := CASE WHEN current_setting('server_version_num')::int >= 160000
                                  THEN ' WITH INHERIT TRUE, SET FALSE' ELSE '' END;
BEGIN
    IF public.sandbox_role_exists(role_name) THEN
        RETURN;
    END IF;
    EXECUTE format('CREATE ROLE %I LOGIN CONNECTION LIMIT %s VALID UNTIL %L IN ROLE sandbox_worker',
                   role_name, max_connections, valid_until);
    EXECUTE format('ALTER ROLE %I SET search_path = %I', role_name, role_name);
    EXECUTE format('ALTER ROLE %I SET statement_timeout = %L', role_name, '60s');
    EXECUTE format('ALTER ROLE %I SET lock_timeout = %L', role_name, '10s');
    EXECUTE format('ALTER ROLE %I SET idle_in_transaction_session_timeout = %L', role_name, '60s');
    EXECUTE format('GRANT %I TO CURRENT_USER%s', role_name, inherit);  -- to end its sessions and drop what it owns
    PERFORM public.grant_sandbox_schema(sandbox_id);
END $$;

CREATE FUNCTION set_sandbox_role_password(sandbox_id uuid, verifier text) RETURNS void
    LANGUAGE plpgsql STRICT SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    role_name constant text := public.sandbox_schema_name(sandbox_id);
BEGIN
    IF verifier NOT LIKE 'SCRAM-SHA-256$%' THEN
        RAISE EXCEPTION 'not a SCRAM verifier' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF public.sandbox_role_exists(role_name) THEN
        EXECUTE format('ALTER ROLE %I PASSWORD %L', role_name, verifier);
    END IF;
END $$;

-- New logins fail from then on; the sessions that are open stay until they are ended.
CREATE FUNCTION set_sandbox_role_expiry(sandbox_id uuid, valid_until timestamptz) RETURNS void
    LANGUAGE plpgsql STRICT SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    role_name constant text := public.sandbox_schema_name(sandbox_id);
BEGIN
    IF public.sandbox_role_exists(role_name) THEN
        EXECUTE format('ALTER ROLE %I VALID UNTIL %L', role_name, valid_until);
    END IF;
END $$;

CREATE FUNCTION cut_sandbox_role(sandbox_id uuid) RETURNS void
    LANGUAGE plpgsql STRICT SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    role_name constant text := public.sandbox_schema_name(sandbox_id);
BEGIN
    IF public.sandbox_role_exists(role_name) THEN
        EXECUTE format('ALTER ROLE %I NOLOGIN CONNECTION LIMIT 0', role_name);
    END IF;
END $$;

-- How many sessions there were to end.
CREATE FUNCTION end_sandbox_sessions(sandbox_id uuid) RETURNS bigint
    LANGUAGE sql VOLATILE STRICT SET search_path = pg_catalog, pg_temp AS $$
    UPDATE public.sandbox_credentials AS credentials SET cut_at = clock_timestamp()
     WHERE credentials.sandbox_id = end_sandbox_sessions.sandbox_id;
    SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
     WHERE usename = public.sandbox_schema_name(end_sandbox_sessions.sandbox_id)
       AND public.sandbox_role_exists(public.sandbox_schema_name(end_sandbox_sessions.sandbox_id))
$$;

-- Sessions in this database of sandboxes that do not run (any more), and what an earlier token has let in: a login that
-- was under way while its right to it ended shows up only after the sessions have been ended.
CREATE FUNCTION end_barred_sandbox_sessions() RETURNS bigint
    LANGUAGE sql VOLATILE STRICT SET search_path = pg_catalog, pg_temp AS $$
    SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
     WHERE usename ~ '^sandbox_[0-9a-f]{8}$' AND datname = current_database() AND public.sandbox_role_exists(usename)
       AND NOT EXISTS (SELECT FROM public.sandboxes AS sandbox
                         JOIN public.sandbox_credentials AS credentials ON credentials.sandbox_id = sandbox.id
                        WHERE schema_name = usename AND status = 'running' AND expires_at > now()
                          AND cut_at <= backend_start)
$$;

-- Worker's timeouts are defaults that a worker may override; this is not.
CREATE FUNCTION end_overlong_sandbox_transactions(longest interval) RETURNS bigint
    LANGUAGE sql VOLATILE STRICT SET search_path = pg_catalog, pg_temp AS $$
    SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
     WHERE usename ~ '^sandbox_[0-9a-f]{8}$' AND xact_start < now() - longest
       AND public.sandbox_role_exists(usename)
$$;

-- With all that it owns elsewhere (large objects, grants). The schema has gone before.
CREATE FUNCTION drop_sandbox_role(sandbox_id uuid) RETURNS boolean
    LANGUAGE plpgsql STRICT SET search_path = pg_catalog, pg_temp SET lock_timeout = '5s' AS $$
DECLARE
    role_name constant text := public.sandbox_schema_name(sandbox_id);
BEGIN
    IF NOT public.sandbox_role_exists(role_name) THEN
        RETURN false;
    END IF;
    EXECUTE format('DROP OWNED BY %I CASCADE', role_name);
    EXECUTE format('DROP ROLE %I', role_name);
    RETURN true;
END $$;

-- One row per table, and bytes with indexes and toast. The rows of the bot's own tables are counted; of a worker's they
-- are the server's estimate, for to plan a query on a table already runs what its owner put into policies and indexes.
-- lock_not_available if a worker locks a table. No row: no such schema, or no table in it.
CREATE OR REPLACE FUNCTION get_sandbox_schema_stats(sandbox_id uuid)
    RETURNS TABLE (table_name text, row_count bigint, total_bytes bigint)
    LANGUAGE plpgsql STABLE STRICT SET search_path = pg_catalog, pg_temp SET lock_timeout = '2s' AS $$
DECLARE
    relation record;
BEGIN
    FOR relation IN
        SELECT c.oid, c.relname, c.reltuples, n.nspname, c.relowner = n.nspowner AS is_ours
          FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE n.nspname = public.sandbox_schema_name(sandbox_id) AND c.relkind = 'r' ORDER BY c.relname
    LOOP
        table_name := relation.relname;
        total_bytes := coalesce(pg_total_relation_size(relation.oid), 0);
        row_count := greatest(relation.reltuples, pg_stat_get_live_tuples(relation.oid), 0);
        IF relation.is_ours THEN  -- so that nobody else can drop or alter it
            EXECUTE format('SELECT count(*) FROM ONLY %I.%I', relation.nspname, relation.relname) INTO row_count;
        END IF;
        RETURN NEXT;
    END LOOP;
END $$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA public FROM PUBLIC;
REVOKE ALL ON ALL TABLES IN SCHEMA public FROM PUBLIC;
REVOKE ALL ON SCHEMA public FROM PUBLIC;
