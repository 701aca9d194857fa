-- What one sandbox may hold of what all of them share: PostgreSQL's table of locks.

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

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA public FROM PUBLIC;
