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

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA public FROM PUBLIC;
REVOKE ALL ON ALL TABLES IN SCHEMA public FROM PUBLIC;
