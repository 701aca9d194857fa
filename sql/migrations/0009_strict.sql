-- What a worker makes must never run as the bot, nor keep its sandbox from ending.

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

-- A session that began earlier than this was let in by an earlier token, or by none that counts.
ALTER TABLE sandbox_credentials ADD COLUMN cut_at timestamptz NOT NULL DEFAULT now();

CREATE OR REPLACE FUNCTION end_sandbox_sessions(sandbox_id uuid) RETURNS bigint
    LANGUAGE sql VOLATILE STRICT SET search_path = pg_catalog, pg_temp AS $$
    UPDATE public.sandbox_credentials AS credentials SET cut_at = clock_timestamp()
     WHERE credentials.sandbox_id = end_sandbox_sessions.sandbox_id;
    SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
     WHERE usename = public.sandbox_schema_name(end_sandbox_sessions.sandbox_id)
       AND public.sandbox_role_exists(public.sandbox_schema_name(end_sandbox_sessions.sandbox_id))
$$;

-- A login that was under way while its right to it ended shows up only afterwards, and whoever should have ended the
-- sessions may have died before.
CREATE FUNCTION end_stray_sandbox_sessions() RETURNS bigint
    LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
    SELECT count(pg_terminate_backend(session.pid))
      FROM pg_stat_activity AS session
      JOIN public.sandboxes AS sandbox ON sandbox.schema_name = session.usename AND sandbox.status <> 'destroyed'
      LEFT JOIN public.sandbox_credentials AS credentials ON credentials.sandbox_id = sandbox.id
     WHERE (sandbox.status <> 'running' OR sandbox.expires_at <= now() OR credentials.sandbox_id IS NULL
            OR session.backend_start < credentials.cut_at)
       AND public.sandbox_role_exists(session.usename)
$$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA public FROM PUBLIC;
