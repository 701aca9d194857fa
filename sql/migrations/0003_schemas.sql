-- A sandbox's schema. All four functions take the id and derive the name by sandbox_schema_name().
-- The comment on the schema is our mark, with the time of its making: nothing without it is ever adopted or dropped.

CREATE FUNCTION sandbox_schema_mark(schema_name text) RETURNS boolean
    LANGUAGE sql STABLE STRICT SET search_path = pg_catalog, pg_temp AS $$
    -- true: ours; false: somebody else's; NULL: there is no such schema
    SELECT coalesce(obj_description(oid, 'pg_namespace') LIKE 'discord-sandboxes, made %', false)
      FROM pg_namespace WHERE nspname = schema_name
$$;

CREATE FUNCTION create_sandbox_schema(sandbox_id uuid) RETURNS text
    LANGUAGE plpgsql STRICT SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    schema_name constant text := public.sandbox_schema_name(sandbox_id);
BEGIN
    IF public.sandbox_schema_mark(schema_name) THEN
        RETURN schema_name;
    END IF;
    EXECUTE format('CREATE SCHEMA %I', schema_name);  -- duplicate_schema if it is somebody else's
    EXECUTE format('COMMENT ON SCHEMA %I IS %L', schema_name, 'discord-sandboxes, made ' || now());
    EXECUTE format($ddl$
        CREATE TABLE %1$I.communities (
            id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            guild_id   numeric(20) NOT NULL UNIQUE,
            name       text NOT NULL,
            settings   jsonb NOT NULL DEFAULT '{}',
            created_at timestamptz NOT NULL DEFAULT now()
        );
        CREATE TABLE %1$I.profiles (
            id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            community_id bigint NOT NULL REFERENCES %1$I.communities (id) ON DELETE CASCADE,
            user_id      numeric(20) NOT NULL,
            display_name text NOT NULL,
            bio          text,
            created_at   timestamptz NOT NULL DEFAULT now(),
            UNIQUE (community_id, user_id)
        );
        CREATE INDEX profiles_user_idx ON %1$I.profiles (user_id);
        CREATE TABLE %1$I.badges (
            id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            profile_id bigint NOT NULL REFERENCES %1$I.profiles (id) ON DELETE CASCADE,
            name       text NOT NULL,
            awarded_at timestamptz NOT NULL DEFAULT now(),
            UNIQUE (profile_id, name)
        );
    $ddl$, schema_name);
    RETURN schema_name;
END $$;

-- True if there was one to drop. A schema of that name without our mark is an error, not a loss. A worker may
-- hold a table: then this gives up soon, and the next sweep tries again.
CREATE FUNCTION drop_sandbox_schema(sandbox_id uuid) RETURNS boolean
    LANGUAGE plpgsql STRICT SET search_path = pg_catalog, pg_temp SET lock_timeout = '5s' AS $$
DECLARE
    schema_name constant text := public.sandbox_schema_name(sandbox_id);
    ours constant boolean := public.sandbox_schema_mark(schema_name);
BEGIN
    IF ours IS NULL THEN
        RETURN false;
    ELSIF NOT ours THEN
        RAISE EXCEPTION 'schema % does not carry the mark of discord-sandboxes', schema_name
            USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    EXECUTE format('DROP SCHEMA %I CASCADE', schema_name);
    RETURN true;
END $$;

CREATE FUNCTION sandbox_schema_exists(sandbox_id uuid) RETURNS boolean
    LANGUAGE sql STABLE STRICT
    RETURN coalesce(public.sandbox_schema_mark(public.sandbox_schema_name(sandbox_id)), false);

-- One row per table: exact rows, and bytes with indexes and toast. No row: no such schema, or no table in it.
CREATE FUNCTION get_sandbox_schema_stats(sandbox_id uuid)
    RETURNS TABLE (table_name text, row_count bigint, total_bytes bigint)
    LANGUAGE plpgsql STABLE STRICT SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    relation record;
BEGIN
    FOR relation IN
        SELECT c.oid, c.relname, n.nspname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE n.nspname = public.sandbox_schema_name(sandbox_id) AND c.relkind = 'r' ORDER BY c.relname
    LOOP
        table_name := relation.relname;
        total_bytes := pg_total_relation_size(relation.oid);
        EXECUTE format('SELECT count(*) FROM ONLY %I.%I', relation.nspname, relation.relname) INTO row_count;
        RETURN NEXT;
    END LOOP;
END $$;

-- Marked schemas of at least that age whose sandbox does not live: what a sweep may drop.
CREATE FUNCTION orphaned_sandbox_schemas(min_age interval) RETURNS SETOF text
    LANGUAGE sql STABLE STRICT SET search_path = pg_catalog, pg_temp AS $$
    SELECT nspname::text FROM pg_namespace AS namespace
     WHERE nspname ~ '^sandbox_[0-9a-f]{8}$' AND public.sandbox_schema_mark(nspname)
       AND NOT EXISTS (SELECT FROM public.sandboxes AS sandbox
                        WHERE sandbox.schema_name = nspname AND sandbox.status <> 'destroyed')
       AND substr(obj_description(oid, 'pg_namespace'), length('discord-sandboxes, made ') + 1)::timestamptz
           <= now() - min_age
     ORDER BY nspname
$$;

-- Reads the truth again before it drops. False if the schema is no orphan any more.
CREATE FUNCTION drop_orphaned_sandbox_schema(orphan text, min_age interval) RETURNS boolean
    LANGUAGE plpgsql STRICT SET search_path = pg_catalog, pg_temp SET lock_timeout = '5s' AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM public.orphaned_sandbox_schemas(min_age) AS name WHERE name = orphan) THEN
        RETURN false;
    END IF;
    EXECUTE format('DROP SCHEMA %I CASCADE', orphan);
    RETURN true;
END $$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA public FROM PUBLIC;
REVOKE ALL ON SCHEMA public FROM PUBLIC;
