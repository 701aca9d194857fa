-- Also of a sandbox that runs: what an earlier token has let in. A login that was under way while its right to it ended
-- shows up only after the sessions have been ended.
CREATE OR REPLACE FUNCTION end_barred_sandbox_sessions() RETURNS bigint
    LANGUAGE sql VOLATILE STRICT SET search_path = pg_catalog, pg_temp AS $$
    SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
     WHERE usename ~ '^sandbox_[0-9a-f]{8}$' AND datname = current_database() AND public.sandbox_role_exists(usename)
       AND NOT EXISTS (SELECT FROM public.sandboxes AS sandbox
                         JOIN public.sandbox_credentials AS credentials ON credentials.sandbox_id = sandbox.id
                        WHERE schema_name = usename AND status = 'running' AND expires_at > now()
                          AND cut_at <= backend_start)
$$;

DROP FUNCTION end_stray_sandbox_sessions();
