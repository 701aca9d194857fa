-- What one sandbox may hold of what all of them share, PostgreSQL's table of locks; and how one is dropped that has made
-- more than that table has room for.

-- About how many locks the server's table holds, for all sessions together; it has some room above that.
CREATE FUNCTION sandbox_lock_capacity() RETURNS bigint
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT current_setting('max_locks_per_transaction')::bigint
         * (current_setting('max_connections')::int + current_setting('max_prepared_transactions')::int)
$$;

-- Takes locks that nobody else wants, so that there are some to give back when the table is full. How many it took; an
-- error if the table has no room for them, and then those that were taken are kept.
CREATE FUNCTION reserve_sandbox_locks(wanted integer) RETURNS bigint
    LANGUAGE sql VOLATILE STRICT SET search_path = pg_catalog, pg_temp AS $$
    SELECT count(*) FILTER (WHERE pg_try_advisory_lock_shared(pg_backend_pid(), number::int))
      FROM generate_series(1, least(wanted, public.sandbox_lock_capacity() / 10)) AS number
$$;

-- Ends all sessions of a sandbox's role that
--   holds more than `most` locks, or a quarter of the table if that is less;
--   or is one of those with the most locks, as long as sandboxes hold more than half of the table together;
--   or is one of `barred`.
-- One row for each role. It is written for a table that is full while others take whatever becomes free: it reads
-- functions and no table, for that would be a lock, and looks up roles again that have changed by what it gives back of
-- the session's reserve, a tenth at a time.
CREATE FUNCTION end_sandbox_lock_hoarders(most integer, barred oid[], reserve integer)
    RETURNS TABLE (role_id oid, schema_name text, locks bigint, sessions bigint)
    LANGUAGE plpgsql VOLATILE STRICT SET search_path = pg_catalog, pg_temp SET client_min_messages = error AS $$
DECLARE
    capacity constant bigint := public.sandbox_lock_capacity();
    pids integer[];
BEGIN
    BEGIN  -- so that they are known, and nothing is to be looked up when it matters
        PERFORM pg_get_userbyid(usesysid), pg_has_role(usesysid, 'USAGE')
           FROM (SELECT DISTINCT usesysid FROM pg_stat_get_activity(NULL) WHERE usesysid IS NOT NULL) AS role;
    EXCEPTION WHEN out_of_memory THEN NULL;
    END;
    FOR role_id, locks, pids IN
        WITH held AS MATERIALIZED (
            -- Those on the fast path, and what serializable transactions have read, are kept elsewhere.
            SELECT lock.pid, count(*) AS locks FROM pg_lock_status() AS lock
             WHERE NOT lock.fastpath AND lock.mode <> 'SIReadLock' GROUP BY lock.pid),
        session AS MATERIALIZED (
            SELECT activity.pid, activity.usesysid, coalesce(held.locks, 0) AS locks
              FROM pg_stat_get_activity(NULL) AS activity LEFT JOIN held ON held.pid = activity.pid),
        holder AS MATERIALIZED (
            SELECT session.usesysid, sum(session.locks)::bigint AS locks, array_agg(session.pid) AS pids,
                   sum(sum(session.locks)) OVER (ORDER BY sum(session.locks), session.usesysid) AS up_to_here
              FROM session
             WHERE session.usesysid <> (SELECT own.usesysid FROM session AS own WHERE own.pid = pg_backend_pid())
             GROUP BY session.usesysid)
        SELECT holder.usesysid, holder.locks, holder.pids FROM holder
         WHERE holder.locks > least(most, capacity / 4) OR holder.up_to_here > capacity / 2
            OR holder.usesysid = ANY (barred)
    LOOP
        FOR tenth IN 0..9 LOOP
            BEGIN
                PERFORM pg_advisory_unlock_shared(pg_backend_pid(), number)
                   FROM generate_series(tenth * reserve / 10 + 1, (tenth + 1) * reserve / 10) AS number;
                schema_name := pg_get_userbyid(role_id);
                -- By the name and the bot's own membership: that it is in sandbox_worker too is written in a table.
                IF schema_name ~ '^sandbox_[0-9a-f]{8}$' AND pg_has_role(role_id, 'USAGE') THEN
                    SELECT count(pg_terminate_backend(pid)) INTO sessions FROM unnest(pids) AS pid;
                    RETURN NEXT;
                END IF;
                EXIT;
            EXCEPTION WHEN out_of_memory THEN NULL;
            END;
        END LOOP;
    END LOOP;
    PERFORM pg_advisory_unlock_all();  -- to be taken anew, whole
END $$;


-- The object, and what would be dropped with it, directly or not, up to `most` rows; what is farther away comes later.
-- A part (a view's rule, a generated column's expression) takes its whole with it.
CREATE FUNCTION sandbox_dependants(class oid, object oid, sub integer, most integer)
    RETURNS TABLE (classid oid, objid oid, objsubid integer)
    LANGUAGE sql STABLE STRICT SET search_path = pg_catalog, pg_temp
    SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off AS $$
    WITH RECURSIVE found (classid, objid, objsubid) AS (
        SELECT class, object, sub
        UNION
        SELECT next.classid, next.objid, next.objsubid FROM found, LATERAL (
            SELECT part.classid, part.objid, part.objsubid FROM pg_depend AS part
             WHERE part.refclassid = found.classid AND part.refobjid = found.objid
               AND (found.objsubid = 0 OR part.refobjsubid = found.objsubid)
            UNION ALL
            SELECT whole.refclassid, whole.refobjid, whole.refobjsubid FROM pg_depend AS whole
             WHERE whole.classid = found.classid AND whole.objid = found.objid
               AND whole.objsubid = found.objsubid AND whole.deptype = 'i') AS next)
    SELECT found.classid, found.objid, found.objsubid FROM found LIMIT most
$$;

-- The command that drops the object with all that depends on it; NULL if there is none for its kind.
CREATE FUNCTION sandbox_drop_command(class oid, object oid, sub integer) RETURNS text
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
                      'trigger', 'policy', 'text search configuration', 'text search dictionary')
            THEN format('DROP %s %s CASCADE', upper(type), identity)
        END
      FROM pg_identify_object(class, object, sub)
$$;

-- The command that makes a view, a function or a domain depend on no relation, function or operator any more; NULL for
-- everything that does not. These can be altered to depend on what is newer than they are, so they alone close circles.
CREATE FUNCTION sandbox_hollow_command(class oid, object oid) RETURNS text
    LANGUAGE sql STABLE STRICT SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE class
        WHEN 'pg_class'::regclass THEN (
            SELECT format('CREATE OR REPLACE VIEW %s AS SELECT %s', view.oid::regclass, (
                       SELECT string_agg(format('NULL::%s%s AS %I', format_type(atttypid, atttypmod),
                                                CASE WHEN attcollation = 0 THEN ''
                                                     ELSE ' COLLATE ' || attcollation::regcollation END, attname),
                                         ', ' ORDER BY attnum)
                         FROM pg_attribute WHERE attrelid = view.oid AND attnum > 0))
              FROM pg_class AS view JOIN pg_rewrite AS rule ON ev_class = view.oid AND rulename = '_RETURN'
             WHERE view.oid = object AND relkind = 'v'
               AND EXISTS (SELECT FROM pg_depend
                            WHERE classid = 'pg_rewrite'::regclass AND objid = rule.oid AND refobjid <> view.oid
                              AND refclassid IN ('pg_class'::regclass, 'pg_proc'::regclass, 'pg_operator'::regclass)))
        WHEN 'pg_proc'::regclass THEN (
            SELECT format('CREATE OR REPLACE %s %s(%s) %s LANGUAGE plpgsql AS %L',
                       CASE prokind WHEN 'p' THEN 'PROCEDURE' ELSE 'FUNCTION' END,
                       format('%I.%I', pronamespace::regnamespace::name, proname), (
                       SELECT string_agg(
                                  CASE mode WHEN 'o' THEN 'OUT ' WHEN 'b' THEN 'INOUT ' WHEN 'v' THEN 'VARIADIC ' ELSE '' END
                                  || coalesce(quote_ident(nullif(name, '')) || ' ', '') || format_type(type, NULL)
                                  || CASE WHEN mode <> 'o' AND input > pronargs - pronargdefaults
                                          THEN ' DEFAULT NULL' ELSE '' END, ', ' ORDER BY number)
                         FROM (SELECT type, coalesce(mode, 'i') AS mode, name, number,
                                      count(*) FILTER (WHERE coalesce(mode, 'i') IN ('i', 'b', 'v'))
                                          OVER (ORDER BY number) AS input
                                 FROM ROWS FROM (unnest(coalesce(proallargtypes, proargtypes::oid[])),
                                                 unnest(proargmodes), unnest(proargnames))
                                      WITH ORDINALITY AS argument (type, mode, name, number)) AS argument
                        WHERE mode <> 't'),
                       CASE prokind WHEN 'p' THEN '' ELSE 'RETURNS ' || pg_get_function_result(oid) END, 'BEGIN END')
              FROM pg_proc
             WHERE oid = object AND prokind IN ('f', 'p') AND (prosqlbody IS NOT NULL OR proargdefaults IS NOT NULL)
               AND EXISTS (SELECT FROM pg_depend
                            WHERE classid = class AND objid = object AND deptype = 'n'
                              AND refclassid IN ('pg_class'::regclass, 'pg_proc'::regclass, 'pg_operator'::regclass)))
        WHEN 'pg_type'::regclass THEN (
            SELECT format('ALTER DOMAIN %s DROP DEFAULT', oid::regtype)
              FROM pg_type WHERE oid = object AND typtype = 'd' AND typdefaultbin IS NOT NULL)
        END
$$;

-- Runs a command on a sandbox's object. False if PostgreSQL refuses it; a lock that a worker holds is an error.
CREATE FUNCTION try_sandbox_command(command text) RETURNS boolean
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET check_function_bodies = off
    SET client_min_messages = error AS $$
BEGIN
    IF command IS NULL THEN
        RETURN false;
    END IF;
    EXECUTE command;
    RETURN true;
EXCEPTION
    WHEN lock_not_available OR out_of_memory THEN RAISE;
    WHEN others THEN RETURN false;
END $$;

-- Of which whole the object is a part, or itself.
CREATE FUNCTION sandbox_whole(INOUT class oid, INOUT object oid, INOUT sub integer)
    LANGUAGE plpgsql STABLE STRICT SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    whole record;
BEGIN
    FOR depth IN 1..10 LOOP
        SELECT refclassid, refobjid, refobjsubid INTO whole FROM pg_depend
         WHERE classid = class AND objid = object AND objsubid = sub AND deptype IN ('i', 'P', 'S')
         ORDER BY strpos('SiP', deptype::text) LIMIT 1;
        EXIT WHEN NOT FOUND;
        class := whole.refclassid;
        object := whole.refobjid;
        sub := whole.refobjsubid;
    END LOOP;
END $$;

-- Drops the object, or if more than `most` go with it a part of those, and says how many; 0 if that cannot be done.
-- What has too many dependants is never named to the server, which would lock them all, be it to refuse.
CREATE FUNCTION thin_sandbox_object(class oid, object oid, sub integer, most integer) RETURNS integer
    LANGUAGE plpgsql STRICT SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    classes oid[] := ARRAY[class];
    objects oid[] := ARRAY[object];
    subs integer[] := ARRAY[sub];
    seen text[] := '{}';
    place record;
    here text;
    below record;
    hollowed integer;
    dropped integer := 0;
BEGIN
    WHILE cardinality(objects) > 0 LOOP
        EXIT WHEN dropped > 0 AND clock_timestamp() > now() + interval '5 s';  -- since the transaction's beginning
        SELECT * INTO place FROM public.sandbox_whole(
            classes[cardinality(objects)], objects[cardinality(objects)], subs[cardinality(objects)]);
        classes := trim_array(classes, 1);
        objects := trim_array(objects, 1);
        subs := trim_array(subs, 1);
        here := format('%s %s %s', place.class, place.object, place.sub);
        CONTINUE WHEN here = ANY (seen);
        seen := seen || here;
        SELECT array_agg(classid) AS classes, array_agg(objid) AS objects, array_agg(objsubid) AS subs INTO below
          FROM public.sandbox_dependants(place.class, place.object, place.sub, most + 1);
        IF cardinality(below.objects) <= most THEN
            EXIT WHEN dropped > 0 AND dropped + cardinality(below.objects) > most;
            IF public.try_sandbox_command(public.sandbox_drop_command(place.class, place.object, place.sub)) THEN
                dropped := dropped + cardinality(below.objects);
            END IF;
        ELSE
            EXIT WHEN dropped > 0;
            SELECT count(*) FILTER (WHERE public.try_sandbox_command(command)) INTO hollowed
              FROM (SELECT DISTINCT public.sandbox_hollow_command(dependant.class, dependant.object) AS command
                      FROM unnest(below.classes, below.objects) AS dependant (class, object)) AS hollow
             WHERE command IS NOT NULL;
            IF hollowed > 0 THEN
                RETURN hollowed;
            END IF;
            classes := below.classes;  -- and on with the one farthest away
            objects := below.objects;
            subs := below.subs;
        END IF;
    END LOOP;
    RETURN dropped;
END $$;

-- Whether a schema holds, or its role owns, so much that dropping it at once could need more locks than the server has.
CREATE OR REPLACE FUNCTION sandbox_schema_is_large(schema_name text, most integer) RETURNS boolean
    LANGUAGE sql STABLE STRICT SET search_path = pg_catalog, pg_temp AS $$
    SELECT (SELECT count(*) FROM public.sandbox_dependants(
                'pg_namespace'::regclass, to_regnamespace(quote_ident(schema_name)), 0, most)) = most
        OR (SELECT count(*) FROM (SELECT FROM pg_largeobject_metadata
                                   WHERE lomowner = to_regrole(quote_ident(schema_name)) LIMIT most) AS large) = most
        OR (SELECT count(*) FROM (SELECT FROM pg_shdepend
                                   WHERE refclassid = 'pg_authid'::regclass AND deptype = 'r'
                                     AND refobjid = to_regrole(quote_ident(schema_name)) LIMIT most) AS policy) = most
$$;

-- Drops up to `most` of the things in a large schema that carries our mark, and as many large objects of its role and
-- policies for it, and says how many; 0: DROP SCHEMA can take the rest. Each call is to be a transaction of its own. The
-- newest go first, for what depends on another thing is mostly newer.
CREATE OR REPLACE FUNCTION thin_sandbox_schema(thinned text, most integer) RETURNS integer
    LANGUAGE plpgsql STRICT SET search_path = pg_catalog, pg_temp SET lock_timeout = '5s' AS $$
DECLARE
    thing record;
    gone integer;
    dropped integer := 0;
BEGIN
    IF public.sandbox_schema_mark(thinned) IS NOT TRUE OR NOT public.sandbox_schema_is_large(thinned, most) THEN
        RETURN 0;
    END IF;
    FOR thing IN
        WITH newest AS MATERIALIZED (
            SELECT classid, objid FROM pg_depend
             WHERE refclassid = 'pg_namespace'::regclass AND refobjid = to_regnamespace(quote_ident(thinned))
               AND deptype = 'n'
             ORDER BY objid DESC LIMIT most)
        SELECT * FROM newest
    LOOP
        CONTINUE WHEN NOT EXISTS (SELECT FROM pg_depend WHERE classid = thing.classid AND objid = thing.objid);
        -- One that has more below it than this transaction has room for begins the next.
        EXIT WHEN dropped > 0 AND (SELECT count(*) FROM public.sandbox_dependants(
                                       thing.classid, thing.objid, 0, most - dropped + 1)) > most - dropped;
        gone := public.thin_sandbox_object(thing.classid, thing.objid, 0, most);
        dropped := dropped + gone;
        EXIT WHEN dropped >= most OR dropped > 0 AND clock_timestamp() > now() + interval '5 s';
    END LOOP;
    SELECT dropped + count(lo_unlink(large.oid)) INTO dropped
      FROM (SELECT oid FROM pg_largeobject_metadata
             WHERE lomowner = to_regrole(quote_ident(thinned)) LIMIT most) AS large;
    SELECT dropped + count(*) FILTER (
               WHERE public.try_sandbox_command(public.sandbox_drop_command(policy.classid, policy.objid, 0)))
      INTO dropped
      FROM (SELECT classid, objid FROM pg_shdepend
             WHERE refclassid = 'pg_authid'::regclass AND deptype = 'r'
               AND dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
               AND refobjid = to_regrole(quote_ident(thinned)) LIMIT most) AS policy;
    RETURN dropped;
END $$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA public FROM PUBLIC;
