-- A sandbox's role owns all that is in its schema, what the template makes included, and may have more schemas, named
-- `<own schema>_*`. The schema itself stays the bot's, and so nothing in it is ever read, written or run by the bot.

-- The bot becomes the role to apply a template, and hands over what it owns itself.
CREATE FUNCTION join_sandbox_role(role_name text) RETURNS void
    LANGUAGE plpgsql STRICT SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    EXECUTE format('GRANT %I TO CURRENT_USER', role_name)
         || CASE WHEN current_setting('server_version_num')::int >= 160000 THEN ' WITH INHERIT TRUE, SET TRUE' ELSE '' END;
END $$;

-- The schemas that the sandbox of that schema name has made besides: its role owns them, or the group, to which any of its
-- members may give what it has (REASSIGN OWNED, which no event trigger sees); and their names say whose they are. Neither
-- would do alone.
CREATE FUNCTION extra_sandbox_schemas(schema_name text) RETURNS TABLE (oid oid, name name)
    LANGUAGE sql STABLE STRICT SET search_path = pg_catalog, pg_temp AS $$
    SELECT extra.oid, nspname FROM pg_namespace AS extra
     WHERE nspname >= schema_name || '_' AND nspname < schema_name || '`'  -- which comes next after _
       AND nspowner IN (to_regrole(quote_ident(schema_name)), to_regrole('sandbox_worker'))
       AND public.sandbox_role_exists(schema_name)
$$;

-- Makes the sandbox's role the owner of what the schema's own owner, the bot, has in it.
CREATE FUNCTION hand_over_sandbox_schema(schema_name text) RETURNS void
    LANGUAGE plpgsql STRICT SET search_path = pg_catalog, pg_temp SET lock_timeout = '200ms' AS $$
DECLARE
    thing record;
BEGIN
    FOR thing IN
        SELECT CASE WHEN object.type IN ('function', 'procedure', 'aggregate') THEN 'ROUTINE'
                    WHEN object.type = 'composite type' THEN 'TYPE'
                    WHEN object.type = 'statistics object' THEN 'STATISTICS'
                    ELSE upper(object.type) END AS kind, object.identity
          FROM pg_namespace
          JOIN pg_depend AS member ON member.refclassid = 'pg_namespace'::regclass AND member.refobjid = pg_namespace.oid
          JOIN pg_shdepend AS owned ON owned.classid = member.classid AND owned.objid = member.objid
           AND owned.dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
           AND owned.deptype = 'o' AND owned.refobjid = nspowner,
               pg_identify_object(owned.classid, owned.objid, 0) AS object
         WHERE nspname = schema_name
           AND NOT EXISTS (SELECT FROM pg_depend AS part  -- a column's sequence goes with its table
                            WHERE part.classid = owned.classid AND part.objid = owned.objid
                              AND part.refclassid = 'pg_class'::regclass AND part.refobjsubid > 0
                              AND part.deptype IN ('a', 'i'))
    LOOP
        EXECUTE format('ALTER %s %s OWNER TO %I', thing.kind, thing.identity, schema_name);
    END LOOP;
END $$;

-- What the sandbox's role, if it has one, may do in its schema, if that is there. Safe to repeat.
CREATE OR REPLACE FUNCTION grant_sandbox_schema(sandbox_id uuid) RETURNS void
    LANGUAGE plpgsql STRICT SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    name constant text := public.sandbox_schema_name(sandbox_id);
BEGIN
    IF to_regnamespace(quote_ident(name)) IS NULL OR NOT public.sandbox_role_exists(name) THEN
        RETURN;
    END IF;
    EXECUTE format('GRANT USAGE, CREATE ON SCHEMA %I TO %I', name, name);
    PERFORM public.hand_over_sandbox_schema(name);
END $$;

-- For what an earlier version has made. False if a worker holds something of it just now, if the sandbox is being changed,
-- or if another bot's role has made this one's.
CREATE FUNCTION hand_over_sandbox(sandbox_id uuid) RETURNS boolean
    LANGUAGE plpgsql STRICT SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    name constant text := public.sandbox_schema_name(sandbox_id);
BEGIN
    PERFORM FROM public.sandboxes WHERE id = sandbox_id AND status IN ('running', 'expired') FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    PERFORM public.join_sandbox_role(name);
    PERFORM public.grant_sandbox_schema(sandbox_id);
    RETURN true;
EXCEPTION
    WHEN lock_not_available OR internal_error OR insufficient_privilege THEN  -- the second: "tuple concurrently updated"
        RETURN false;
END $$;

-- In the transaction that makes the schema, before or after it; safe to repeat. Without a password nobody can log in. The
-- memberships come last: after each of them the server works out anew which roles this one is a member of.
CREATE OR REPLACE FUNCTION create_sandbox_role(sandbox_id uuid, valid_until timestamptz, max_connections integer)
    RETURNS void LANGUAGE plpgsql STRICT SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    role_name constant text := public.sandbox_schema_name(sandbox_id);
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
    PERFORM public.join_sandbox_role(role_name);
    PERFORM public.admit_sandbox_role(role_name);
    PERFORM public.grant_sandbox_schema(sandbox_id);
END $$;

-- False if there is one that carries our mark; duplicate_schema if there is somebody else's.
CREATE OR REPLACE FUNCTION create_empty_sandbox_schema(sandbox_id uuid) RETURNS boolean
    LANGUAGE plpgsql STRICT SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    schema_name constant text := public.sandbox_schema_name(sandbox_id);
BEGIN
    IF public.sandbox_schema_mark(schema_name) THEN
        RETURN false;
    END IF;
    EXECUTE format('CREATE SCHEMA %I', schema_name);
    EXECUTE format('COMMENT ON SCHEMA %I IS %L', schema_name, 'discord-sandboxes, made ' || now());
    PERFORM public.grant_sandbox_schema(sandbox_id);
    RETURN true;
END $$;

-- As the sandbox's role, if it has one, and with the schema alone to look names up in, and to create what has no other.
-- Inside a function the server refuses COMMIT and whatever else would end the transaction.
CREATE OR REPLACE FUNCTION apply_sandbox_template(sandbox_id uuid, statements text) RETURNS void
    LANGUAGE plpgsql STRICT SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    name constant text := public.sandbox_schema_name(sandbox_id);
BEGIN
    PERFORM set_config('search_path', quote_ident(name), true),
            set_config('role', CASE WHEN public.sandbox_role_exists(name) THEN name ELSE 'none' END, true);
    EXECUTE statements;
    PERFORM pg_catalog.set_config('role', 'none', true);
END $$;

-- One row per table: rows as the server estimates them, and bytes with indexes and toast. Nothing of a table is read, for
-- already to plan a query on it runs what its owner has put into policies and indexes. A table of another schema of the
-- sandbox's has that schema's name before its own. lock_not_available if a worker locks a table.
CREATE OR REPLACE FUNCTION get_sandbox_schema_stats(sandbox_id uuid)
    RETURNS TABLE (table_name text, row_count bigint, total_bytes bigint)
    LANGUAGE sql STABLE STRICT SET search_path = pg_catalog, pg_temp SET lock_timeout = '2s' AS $$
    WITH place AS MATERIALIZED (
        SELECT pg_namespace.oid, '' AS prefix FROM pg_namespace WHERE nspname = public.sandbox_schema_name(sandbox_id)
         UNION ALL
        SELECT oid, name || '.' FROM public.extra_sandbox_schemas(public.sandbox_schema_name(sandbox_id)))
    SELECT prefix || relname, greatest(reltuples::bigint, pg_stat_get_live_tuples(pg_class.oid), 0),
           coalesce(pg_total_relation_size(pg_class.oid), 0)
      FROM place JOIN pg_class ON relnamespace = place.oid
     WHERE relkind = 'r' ORDER BY prefix, relname
$$;

-- The command that drops the object with all that depends on it; NULL if there is none for its kind.
CREATE OR REPLACE FUNCTION sandbox_drop_command(class oid, object oid, sub integer) RETURNS text
    LANGUAGE sql STABLE STRICT SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE
        WHEN type IN ('function', 'procedure', 'aggregate') THEN format('DROP ROUTINE %s CASCADE', identity)
        WHEN type = 'composite type' THEN format('DROP TYPE %s CASCADE', identity)
        WHEN type = 'statistics object' THEN format('DROP STATISTICS %s CASCADE', identity)
        WHEN type = 'table column' THEN (
            SELECT format('ALTER TABLE %s DROP COLUMN %I CASCADE', attrelid::regclass, attname)
              FROM pg_attribute WHERE attrelid = object AND attnum = sub)
        WHEN type = 'default value' THEN (
            SELECT format('ALTER TABLE %s ALTER COLUMN %I DROP DEFAULT', attrelid::regclass, attname)
              FROM pg_attrdef JOIN pg_attribute ON attrelid = adrelid AND attnum = adnum
             WHERE pg_attrdef.oid = object)
        WHEN type = 'table constraint' THEN (
            SELECT format('ALTER TABLE %s DROP CONSTRAINT %I CASCADE', conrelid::regclass, conname)
              FROM pg_constraint WHERE oid = object)
        WHEN type = 'domain constraint' THEN (
            SELECT format('ALTER DOMAIN %s DROP CONSTRAINT %I CASCADE', contypid::regtype, conname)
              FROM pg_constraint WHERE oid = object)
        WHEN type IN ('table', 'foreign table', 'view', 'materialized view', 'sequence', 'index', 'type', 'operator',
                      'operator class', 'operator family', 'collation', 'conversion', 'cast', 'transform', 'rule',
                      'trigger', 'policy', 'text search configuration', 'text search dictionary', 'schema')
            THEN format('DROP %s %s CASCADE', upper(type), identity)
        END
      FROM pg_identify_object(class, object, sub)
$$;

-- Whether its schemas hold, or its role owns, or was granted, so much that dropping it at once could need more locks than
-- the server has.
CREATE OR REPLACE FUNCTION sandbox_schema_is_large(schema_name text, most integer) RETURNS boolean
    LANGUAGE sql STABLE STRICT SET search_path = pg_catalog, pg_temp AS $$
    SELECT (SELECT count(*) FROM (
                SELECT FROM (SELECT to_regnamespace(quote_ident(schema_name))::oid AS oid
                              UNION ALL SELECT oid FROM public.extra_sandbox_schemas(schema_name)) AS place,
                       public.sandbox_dependants('pg_namespace'::regclass, place.oid, 0, most)
                 LIMIT most) AS dependant) = most
        OR (SELECT count(*) FROM (SELECT FROM pg_shdepend
                                   WHERE refclassid = 'pg_authid'::regclass AND deptype = 'o'
                                     AND dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
                                     AND refobjid = to_regrole(quote_ident(schema_name)) LIMIT most) AS owned) = most
        OR (SELECT count(*) FROM (SELECT FROM pg_shdepend
                                   WHERE refclassid = 'pg_authid'::regclass AND deptype IN ('a', 'r')
                                     AND refobjid = to_regrole(quote_ident(schema_name)) LIMIT most) AS granted) = most
$$;

-- Drops up to `most` of the things in the schema, if it is large and carries our mark, and of what its role owns elsewhere
-- (other schemas and what is in them, temporary tables that a killed session has left), and as many large objects of its
-- role, policies for it and grants to it, and says how many; 0: DROP SCHEMA can take the rest. Without the schema, the
-- role's things alone. Each call is to be a transaction of its own. The newest go first, for what depends on another thing
-- is mostly newer.
CREATE OR REPLACE FUNCTION thin_sandbox_schema(thinned text, most integer) RETURNS integer
    LANGUAGE plpgsql STRICT SET search_path = pg_catalog, pg_temp SET lock_timeout = '5s' AS $$
DECLARE
    here constant oid := (SELECT oid FROM pg_database WHERE datname = current_database());
    thing record;
    gone integer;
    dropped integer := 0;
BEGIN
    IF NOT coalesce(public.sandbox_schema_mark(thinned), public.sandbox_role_exists(thinned))
       OR NOT public.sandbox_schema_is_large(thinned, most) THEN
        RETURN 0;
    END IF;
    FOR thing IN
        WITH extra AS MATERIALIZED (SELECT oid FROM public.extra_sandbox_schemas(thinned)),
        held AS MATERIALIZED (
            (SELECT classid, objid FROM pg_depend
              WHERE refclassid = 'pg_namespace'::regclass AND deptype = 'n'
                AND refobjid IN (SELECT to_regnamespace(quote_ident(thinned)) UNION ALL SELECT oid FROM extra)
              ORDER BY objid DESC LIMIT most)
             UNION
            (SELECT 'pg_namespace'::regclass, oid FROM extra)
             UNION
            (SELECT classid, objid FROM pg_shdepend
              WHERE refclassid = 'pg_authid'::regclass AND refobjid = to_regrole(quote_ident(thinned))
                AND deptype = 'o' AND dbid = here
                AND classid NOT IN ('pg_largeobject'::regclass, 'pg_default_acl'::regclass)
                AND public.sandbox_role_exists(thinned)
              ORDER BY objid DESC LIMIT most))
        SELECT * FROM held ORDER BY objid DESC LIMIT most
    LOOP
        CONTINUE WHEN NOT EXISTS (SELECT FROM pg_depend WHERE classid = thing.classid AND objid = thing.objid)
                  AND NOT EXISTS (SELECT FROM pg_namespace
                                   WHERE thing.classid = 'pg_namespace'::regclass AND oid = thing.objid);
        -- One that has more below it than this transaction has room for begins the next.
        EXIT WHEN dropped > 0 AND (SELECT count(*) FROM public.sandbox_dependants(
                                       thing.classid, thing.objid, 0, most - dropped + 1)) > most - dropped;
        gone := public.thin_sandbox_object(thing.classid, thing.objid, 0, most);
        dropped := dropped + gone;
        EXIT WHEN dropped >= most OR dropped > 0 AND clock_timestamp() > now() + interval '5 s';
    END LOOP;
    SELECT dropped + count(lo_unlink(large.oid)) INTO dropped
      FROM (SELECT objid AS oid FROM pg_shdepend
             WHERE refclassid = 'pg_authid'::regclass AND refobjid = to_regrole(quote_ident(thinned))
               AND deptype = 'o' AND dbid = here AND classid = 'pg_largeobject'::regclass LIMIT most) AS large;
    SELECT dropped + count(*) FILTER (
               WHERE public.try_sandbox_command(public.sandbox_drop_command(policy.classid, policy.objid, 0)))
      INTO dropped
      FROM (SELECT classid, objid FROM pg_shdepend
             WHERE refclassid = 'pg_authid'::regclass AND deptype = 'r' AND dbid = here
               AND refobjid = to_regrole(quote_ident(thinned)) LIMIT most) AS policy;
    RETURN dropped + public.thin_sandbox_grants(thinned, most);
END $$;

-- With the sandbox's other schemas. True if there was its own to drop. One of that name without our mark is an error, not
-- a loss. A worker may hold a table: then this gives up soon, and the next sweep tries again.
CREATE OR REPLACE FUNCTION drop_sandbox_schema(sandbox_id uuid) RETURNS boolean
    LANGUAGE plpgsql STRICT SET search_path = pg_catalog, pg_temp SET lock_timeout = '5s' AS $$
DECLARE
    schema_name constant text := public.sandbox_schema_name(sandbox_id);
    ours constant boolean := public.sandbox_schema_mark(schema_name);
    extra text;
BEGIN
    IF NOT ours THEN
        RAISE EXCEPTION 'schema % does not carry the mark of discord-sandboxes', schema_name
            USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    FOR extra IN SELECT name FROM public.extra_sandbox_schemas(schema_name) LOOP
        EXECUTE format('DROP SCHEMA %I CASCADE', extra);
    END LOOP;
    IF ours IS NULL THEN
        RETURN false;
    END IF;
    EXECUTE format('DROP SCHEMA %I CASCADE', schema_name);
    RETURN true;
END $$;

-- Schemas of at least that age whose sandbox does not live, marked ones and those that its role has made besides: what a
-- sweep may drop. Those are as old as their role, for what their owner says of them proves nothing.
CREATE OR REPLACE FUNCTION orphaned_sandbox_schemas(min_age interval) RETURNS SETOF text
    LANGUAGE sql STABLE STRICT SET search_path = pg_catalog, pg_temp AS $$
    WITH candidate AS MATERIALIZED (
        SELECT nspname, substr(obj_description(oid, 'pg_namespace'), length('discord-sandboxes, made ') + 1) AS made_at
          FROM pg_namespace WHERE nspname ~ '^sandbox_[0-9a-f]{8}$' AND public.sandbox_schema_mark(nspname)
         UNION ALL
        SELECT nspname, substring(shobj_description(nspowner, 'pg_authid') FROM ', made (.*)$')
          FROM pg_namespace
         WHERE nspname ~ '^sandbox_[0-9a-f]{8}_' AND nspowner = to_regrole(quote_ident(left(nspname, 16)))
           AND public.sandbox_role_exists(left(nspname, 16)))
    SELECT nspname::text FROM candidate
     WHERE NOT EXISTS (SELECT FROM public.sandboxes AS sandbox
                        WHERE sandbox.schema_name = left(nspname, 16) AND sandbox.status <> 'destroyed')
       AND made_at::timestamptz <= now() - min_age
     ORDER BY nspname
$$;

-- What the group owns in sandboxes' schemas, and those themselves: every sandbox may take it. Up to `most` and what depends
-- on that; how many. What a worker holds is left to a later call. A shared schema of an administrator's is none of them.
CREATE FUNCTION drop_stray_sandbox_objects(most integer) RETURNS integer
    LANGUAGE plpgsql STRICT SET search_path = pg_catalog, pg_temp SET lock_timeout = '5ms' AS $$
DECLARE
    stray record;
    dropped integer := 0;
BEGIN
    FOR stray IN
        SELECT owned.classid, owned.objid FROM pg_shdepend AS owned
          LEFT JOIN pg_depend AS member ON member.classid = owned.classid AND member.objid = owned.objid
           AND member.refclassid = 'pg_namespace'::regclass
          JOIN pg_namespace AS place ON place.oid = member.refobjid
            OR owned.classid = 'pg_namespace'::regclass AND place.oid = owned.objid
         WHERE owned.refclassid = 'pg_authid'::regclass AND owned.refobjid = to_regrole('sandbox_worker')
           AND owned.dbid = (SELECT oid FROM pg_database WHERE datname = current_database()) AND owned.deptype = 'o'
           AND nspname ~ '^sandbox_[0-9a-f]{8}(_|$)'
         ORDER BY owned.objid DESC LIMIT most
    LOOP
        BEGIN
            dropped := dropped + public.thin_sandbox_object(stray.classid, stray.objid, 0, most);
        EXCEPTION
            WHEN lock_not_available OR internal_error THEN NULL;
        END;
        EXIT WHEN dropped >= most;
    END LOOP;
    RETURN dropped;
END $$;

-- As `thin_sandbox_schema`, if it is an orphan still.
CREATE OR REPLACE FUNCTION thin_orphaned_sandbox_schema(orphan text, min_age interval, most integer) RETURNS integer
    LANGUAGE plpgsql STRICT SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM public.orphaned_sandbox_schemas(min_age) AS name WHERE name = orphan) THEN
        RETURN 0;
    END IF;
    RETURN public.thin_sandbox_schema(left(orphan, 16), most);
END $$;

-- The bot may become the roles that are there already. What is in their schemas is handed over by a running bot, which
-- waits for nobody.
DO $$
DECLARE
    sandbox record;
BEGIN
    FOR sandbox IN
        SELECT schema_name FROM public.sandboxes
         WHERE status <> 'destroyed' AND public.sandbox_role_exists(schema_name)
    LOOP
        BEGIN
            PERFORM public.join_sandbox_role(sandbox.schema_name);
        EXCEPTION
            WHEN insufficient_privilege THEN NULL;  -- another bot's role has made it
        END;
    END LOOP;
END $$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA public FROM PUBLIC;
