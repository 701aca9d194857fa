-- What a new sandbox contains is a template. The bot applies its own, or the operator's, statement by statement; this
-- table holds a copy of its own, written by `migrate`, for whoever calls create_sandbox_schema() without the bot.
CREATE TABLE sandbox_template (
    file text PRIMARY KEY,
    body text NOT NULL
);

-- False if there is one that carries our mark; duplicate_schema if there is somebody else's.
CREATE FUNCTION create_empty_sandbox_schema(sandbox_id uuid) RETURNS boolean
    LANGUAGE plpgsql STRICT SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    schema_name constant text := public.sandbox_schema_name(sandbox_id);
BEGIN
    IF public.sandbox_schema_mark(schema_name) THEN
        RETURN false;
    END IF;
    EXECUTE format('CREATE SCHEMA %I', schema_name);
    EXECUTE format('COMMENT ON SCHEMA %I IS %L', schema_name, 'discord-sandboxes, made ' || now());
    RETURN true;
END $$;

-- With the schema alone to look names up in, and to create what has no other. Inside a function the server refuses
-- COMMIT and whatever else would end the transaction.
CREATE FUNCTION apply_sandbox_template(sandbox_id uuid, statements text) RETURNS void
    LANGUAGE plpgsql STRICT SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM set_config('search_path', quote_ident(public.sandbox_schema_name(sandbox_id)), true);
    EXECUTE statements;
END $$;

CREATE OR REPLACE FUNCTION create_sandbox_schema(sandbox_id uuid) RETURNS text
    LANGUAGE plpgsql STRICT SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    template text;
BEGIN
    IF public.create_empty_sandbox_schema(sandbox_id) THEN
        FOR template IN SELECT body FROM public.sandbox_template ORDER BY file COLLATE "C" LOOP
            PERFORM public.apply_sandbox_template(sandbox_id, template);
        END LOOP;
    END IF;
    RETURN public.sandbox_schema_name(sandbox_id);
END $$;

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
    EXECUTE format('CREATE ROLE %I LOGIN CONNECTION LIMIT %s VALID UNTIL %L IN ROLE sandbox_worker',
                   role_name, max_connections, valid_until);
    EXECUTE format('ALTER ROLE %I SET search_path = %I', role_name, role_name);
    EXECUTE format('ALTER ROLE %I SET statement_timeout = %L', role_name, '60s');
    EXECUTE format('ALTER ROLE %I SET lock_timeout = %L', role_name, '10s');
    EXECUTE format('ALTER ROLE %I SET idle_in_transaction_session_timeout = %L', role_name, '60s');
    EXECUTE format('GRANT %I TO CURRENT_USER%s', role_name, inherit);  -- to end its sessions and drop what it owns
    PERFORM public.grant_sandbox_schema(sandbox_id);
END $$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA public FROM PUBLIC;
REVOKE ALL ON ALL TABLES IN SCHEMA public FROM PUBLIC;
