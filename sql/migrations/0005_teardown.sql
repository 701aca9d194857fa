-- Taking down what is large, what seems abandoned, and what was left behind.

-- Whoever works on an unfinished sandbox says so now and then: somebody slow is not somebody dead.
ALTER TABLE sandboxes ADD COLUMN attended_at timestamptz;
CREATE INDEX sandboxes_unfinished_idx ON sandboxes (status_changed_at) WHERE status IN ('pending', 'creating', 'destroying');
CREATE INDEX sandboxes_destroyed_idx ON sandboxes (schema_name) WHERE status = 'destroyed';

-- One row: when orphans were last looked for, so that of several processes one does it at a time.
CREATE TABLE sandbox_orphan_sweeps (
    only_row boolean PRIMARY KEY DEFAULT true CONSTRAINT sandbox_orphan_sweeps_only_row_check CHECK (only_row),
    swept_at timestamptz NOT NULL
);
INSERT INTO sandbox_orphan_sweeps (swept_at) VALUES ('-infinity');

-- Whether a schema holds, or its role owns, so much that dropping it at once could need more locks than the server has.
CREATE FUNCTION sandbox_schema_is_large(schema_name text, most integer) RETURNS boolean
    LANGUAGE sql STABLE STRICT SET search_path = pg_catalog, pg_temp AS $$
    SELECT (SELECT count(*) FROM (SELECT FROM pg_depend WHERE refclassid = 'pg_namespace'::regclass
                                     AND refobjid = to_regnamespace(quote_ident(schema_name)) LIMIT most) AS thing) = most
        OR (SELECT count(*) FROM (SELECT FROM pg_largeobject_metadata
                                   WHERE lomowner = to_regrole(quote_ident(schema_name)) LIMIT most) AS large) = most
$$;

-- Drops up to `most` of the things in a large schema that carries our mark, and as many large objects of its role, and
-- says how many; 0: DROP SCHEMA can take the rest. Each call is to be a transaction of its own. The newest go first, for
-- what depends on another thing is mostly newer.
CREATE FUNCTION thin_sandbox_schema(thinned text, most integer) RETURNS integer
    LANGUAGE plpgsql STRICT SET search_path = pg_catalog, pg_temp SET lock_timeout = '5s' AS $$
DECLARE
    kinds constant jsonb := '{"table": "TABLE", "view": "VIEW", "materialized view": "MATERIALIZED VIEW",
        "sequence": "SEQUENCE", "type": "TYPE", "function": "ROUTINE", "procedure": "ROUTINE", "aggregate": "ROUTINE",
        "operator": "OPERATOR", "collation": "COLLATION", "conversion": "CONVERSION", "statistics object": "STATISTICS",
        "text search configuration": "TEXT SEARCH CONFIGURATION",
        "text search dictionary": "TEXT SEARCH DICTIONARY"}';  -- all that a worker may create
    command text;
    found integer := 0;
    dropped integer := 0;
BEGIN
    IF public.sandbox_schema_mark(thinned) IS NOT TRUE OR NOT public.sandbox_schema_is_large(thinned, most) THEN
        RETURN 0;
    END IF;
    FOR command IN
        WITH things AS MATERIALIZED (
            SELECT classid, objid FROM pg_depend
             WHERE refclassid = 'pg_namespace'::regclass AND refobjid = to_regnamespace(quote_ident(thinned))
               AND deptype = 'n'
             ORDER BY objid DESC),
        newest AS MATERIALIZED (
            SELECT classid, objid FROM things
             WHERE NOT EXISTS (SELECT FROM pg_inherits WHERE inhparent = things.objid)
               AND NOT EXISTS (SELECT FROM pg_depend AS part  -- an identity column's sequence goes with its table
                                WHERE part.classid = things.classid AND part.objid = things.objid
                                  AND part.refclassid = 'pg_class'::regclass AND part.refobjsubid > 0
                                  AND part.deptype IN ('a', 'i'))
             LIMIT most)
        SELECT format('DROP %s %s', kinds ->> object.type, object.identity)
          FROM newest, pg_identify_object(newest.classid, newest.objid, 0) AS object
         WHERE kinds ? object.type
    LOOP
        found := found + 1;
        BEGIN
            EXECUTE command;
            dropped := dropped + 1;
        EXCEPTION
            WHEN dependent_objects_still_exist THEN NULL;  -- its turn comes when those are gone
        END;
    END LOOP;
    IF found > 0 AND dropped = 0 THEN  -- they depend on each other
        EXECUTE command || ' CASCADE';
        dropped := 1;
    END IF;
    SELECT dropped + count(lo_unlink(large.oid)) INTO dropped
      FROM (SELECT oid FROM pg_largeobject_metadata
             WHERE lomowner = to_regrole(quote_ident(thinned)) LIMIT most) AS large;
    RETURN dropped;
END $$;


-- Which database of the server has made a role, for roles are the whole server's, and when.
CREATE FUNCTION sandbox_role_mark() RETURNS text
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT format('discord-sandboxes, database %s, made ', oid) FROM pg_database WHERE datname = current_database()
$$;

-- In the transaction that has made the role.
CREATE FUNCTION mark_sandbox_role(sandbox_id uuid) RETURNS void
    LANGUAGE plpgsql STRICT SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    role_name constant text := public.sandbox_schema_name(sandbox_id);
BEGIN
    IF shobj_description(to_regrole(role_name)::oid, 'pg_authid') IS NULL THEN
        EXECUTE format('COMMENT ON ROLE %I IS %L', role_name, public.sandbox_role_mark() || now());
    END IF;
END $$;

-- Whether the last sandbox of that schema name has been destroyed for at least that long.
CREATE FUNCTION sandbox_was_destroyed(name_of_schema text, min_age interval) RETURNS boolean
    LANGUAGE sql STABLE STRICT SET search_path = pg_catalog, pg_temp AS $$
    SELECT coalesce(bool_and(status = 'destroyed' AND destroyed_at <= now() - min_age), false)
      FROM public.sandboxes WHERE schema_name = name_of_schema
$$;

-- Roles named and grouped like ours whose sandbox does not live in this database, but for the young ones.
-- is_ours: this database has made it; was_destroyed: it knows the sandbox as destroyed.
CREATE FUNCTION orphaned_sandbox_roles(min_age interval)
    RETURNS TABLE (role_name text, is_ours boolean, was_destroyed boolean)
    LANGUAGE sql STABLE STRICT SET search_path = pg_catalog, pg_temp AS $$
    WITH candidate AS (
        SELECT rolname::text AS name, shobj_description(oid, 'pg_authid') AS mark, public.sandbox_role_mark() AS our_mark
          FROM pg_roles WHERE rolname ~ '^sandbox_[0-9a-f]{8}$' AND public.sandbox_role_exists(rolname)
           AND NOT EXISTS (SELECT FROM public.sandboxes WHERE schema_name = rolname AND status <> 'destroyed'))
    SELECT name, starts_with(coalesce(mark, ''), our_mark), public.sandbox_was_destroyed(name, min_age)
      FROM candidate
     WHERE NOT starts_with(coalesce(mark, ''), our_mark)
        OR substr(mark, length(our_mark) + 1)::timestamptz <= now() - min_age
     ORDER BY name
$$;

-- Reads the truth again before it drops one that is ours. False if it is no orphan any more.
CREATE FUNCTION drop_orphaned_sandbox_role(orphan text, min_age interval) RETURNS boolean
    LANGUAGE plpgsql STRICT SET search_path = pg_catalog, pg_temp SET lock_timeout = '5s' AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM public.orphaned_sandbox_roles(min_age) WHERE role_name = orphan AND is_ours) THEN
        RETURN false;
    END IF;
    PERFORM pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = orphan;
    EXECUTE format('DROP OWNED BY %I CASCADE', orphan);
    EXECUTE format('DROP ROLE %I', orphan);
    RETURN true;
END $$;

-- As `thin_sandbox_schema`, if it is an orphan still.
CREATE FUNCTION thin_orphaned_sandbox_schema(orphan text, min_age interval, most integer) RETURNS integer
    LANGUAGE plpgsql STRICT SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM public.orphaned_sandbox_schemas(min_age) AS name WHERE name = orphan) THEN
        RETURN 0;
    END IF;
    RETURN public.thin_sandbox_schema(orphan, most);
END $$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA public FROM PUBLIC;
REVOKE ALL ON ALL TABLES IN SCHEMA public FROM PUBLIC;
