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

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA public FROM PUBLIC;
