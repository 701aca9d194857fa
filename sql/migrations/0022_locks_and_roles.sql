-- As before, but whatever it reads may need a lock when roles have changed, a session's owner too: so the whole of it is
-- tried again, each time with a tenth more of the reserve given back. An error if the table is full all the same.
CREATE OR REPLACE FUNCTION end_sandbox_lock_hoarders(most integer, barred oid[], reserve integer)
    RETURNS TABLE (role_id oid, schema_name text, locks bigint, sessions bigint)
    LANGUAGE plpgsql VOLATILE STRICT SET search_path = pg_catalog, pg_temp SET client_min_messages = error AS $$
DECLARE
    capacity constant bigint := public.sandbox_lock_capacity();
    reserved constant integer := least(reserve, capacity / 10);
    ended jsonb;
BEGIN
    FOR tenth IN 0..10 LOOP
        BEGIN
            PERFORM pg_advisory_unlock_shared(pg_backend_pid(), number)
               FROM generate_series((tenth - 1) * reserved / 10 + 1, tenth * reserved / 10) AS number WHERE tenth > 0;
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
                 GROUP BY session.usesysid),
            hoarder AS MATERIALIZED (
                SELECT holder.usesysid, pg_get_userbyid(holder.usesysid) AS name, holder.locks, holder.pids FROM holder
                 WHERE holder.locks > least(most, capacity / 4) OR holder.up_to_here > capacity / 2
                    OR holder.usesysid = ANY (barred)),
            ours AS MATERIALIZED (
                -- By the name and the bot's own membership: that it is in sandbox_worker too is written in a table.
                SELECT * FROM hoarder
                 WHERE hoarder.name ~ '^sandbox_[0-9a-f]{8}$' AND pg_has_role(hoarder.usesysid, 'USAGE'))
            SELECT jsonb_agg(jsonb_build_array(
                       ours.usesysid::bigint, ours.name, ours.locks,
                       (SELECT count(pg_terminate_backend(pid)) FROM unnest(ours.pids) AS pid)))
              INTO ended FROM ours;
            EXIT;
        EXCEPTION WHEN out_of_memory THEN
            IF tenth = 10 THEN
                RAISE;
            END IF;
        END;
    END LOOP;
    RETURN QUERY SELECT (row ->> 0)::oid, row ->> 1, (row ->> 2)::bigint, (row ->> 3)::bigint
                   FROM jsonb_array_elements(ended) AS row;
    PERFORM pg_advisory_unlock_all();  -- to be taken anew, whole
END $$;

-- As before, but it waits less for what should be gone by then: whoever holds the role's row is ended, and it is tried again.
CREATE OR REPLACE FUNCTION drop_sandbox_role(sandbox_id uuid) RETURNS boolean
    LANGUAGE plpgsql STRICT SET search_path = pg_catalog, pg_temp SET lock_timeout = '300ms' AS $$
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

-- Whether a schema holds, or its role owns, or was granted, so much that dropping it at once could need more locks than the server has.
CREATE OR REPLACE FUNCTION sandbox_schema_is_large(schema_name text, most integer) RETURNS boolean
    LANGUAGE sql STABLE STRICT SET search_path = pg_catalog, pg_temp AS $$
    SELECT (SELECT count(*) FROM public.sandbox_dependants(
                'pg_namespace'::regclass, to_regnamespace(quote_ident(schema_name)), 0, most)) = most
        OR (SELECT count(*) FROM (SELECT FROM pg_largeobject_metadata
                                   WHERE lomowner = to_regrole(quote_ident(schema_name)) LIMIT most) AS large) = most
        OR (SELECT count(*) FROM (SELECT FROM pg_shdepend
                                   WHERE refclassid = 'pg_authid'::regclass AND deptype IN ('a', 'r')
                                     AND refobjid = to_regrole(quote_ident(schema_name)) LIMIT most) AS granted) = most
$$;

-- Takes up to `most` grants from the role that others have made on objects of this database, and says how many; 0 if none
-- can be taken one by one. DROP OWNED takes them all at once, which for a hundred thousand takes longer than it may.
CREATE FUNCTION thin_sandbox_grants(role_name text, most integer) RETURNS integer
    LANGUAGE plpgsql STRICT SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    role constant oid := to_regrole(quote_ident(role_name));
    here constant oid := (SELECT oid FROM pg_database WHERE datname = current_database());
    granted record;
    taken integer := 0;
BEGIN
    FOR granted IN
        SELECT classid, objid, CASE classid
                   WHEN 'pg_class'::regclass THEN format(
                       CASE relkind WHEN 'S' THEN 'SEQUENCE %s' ELSE 'TABLE %s' END, objid::regclass)
                   WHEN 'pg_proc'::regclass THEN format('ROUTINE %s', objid::regprocedure)
                   WHEN 'pg_type'::regclass THEN format('TYPE %s', objid::regtype)
                   WHEN 'pg_largeobject'::regclass THEN format('LARGE OBJECT %s', objid)
               END AS what
          FROM pg_shdepend LEFT JOIN pg_class ON classid = 'pg_class'::regclass AND pg_class.oid = objid
         WHERE refclassid = 'pg_authid'::regclass AND refobjid = role AND deptype = 'a' AND dbid = here
         LIMIT most
    LOOP
        PERFORM public.try_sandbox_command(format('REVOKE ALL ON %s FROM %I CASCADE', granted.what, role_name));
        -- What a third sandbox has granted stays, and is DROP OWNED's.
        IF NOT EXISTS (SELECT FROM pg_shdepend
                        WHERE dbid = here AND classid = granted.classid AND objid = granted.objid
                          AND refclassid = 'pg_authid'::regclass AND refobjid = role AND deptype = 'a') THEN
            taken := taken + 1;
        END IF;
    END LOOP;
    RETURN taken;
END $$;

-- Drops up to `most` of the things in a large schema that carries our mark, and as many large objects of its role,
-- policies for it and grants to it, and says how many; 0: DROP SCHEMA can take the rest. Each call is to be a transaction of its own. The
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
    RETURN dropped + public.thin_sandbox_grants(thinned, most);
END $$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA public FROM PUBLIC;
