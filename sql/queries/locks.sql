-- reserve --
-- How many it took; and who is there is looked up, so that nothing is to be read when it matters. $1 how many locks
SELECT reserve_sandbox_locks($1), count(*) FILTER (WHERE pg_has_role(usesysid, 'USAGE'))
  FROM (SELECT DISTINCT usesysid FROM pg_stat_get_activity(NULL) WHERE usesysid IS NOT NULL) AS role;

-- end_hoarders --
-- Gives the reserve back and ends who holds too many. $1 the most that a sandbox may hold, $2 roles that may have no
-- session now, $3 how many locks the reserve has
SELECT role_id, schema_name, locks, sessions FROM end_sandbox_lock_hoarders($1, $2, $3);

-- shut_out --
-- Those that are not, and those whose note is getting old: its age lets them in again. Whoever holds a sandbox's row
-- changes its role too. $1 schema names
SELECT shut_out_sandbox_role(id)
  FROM (SELECT id FROM sandboxes
         WHERE schema_name = ANY ($1::text[]) AND status IN ('running', 'expired')
           AND (sandbox_role_may_connect(schema_name) OR role_changed_at < now() - interval '5 s')
           FOR UPDATE SKIP LOCKED) AS barred;

-- audit --
-- $1 schema name, $2 event type, $3 how many locks it held
INSERT INTO sandbox_audit_log (sandbox_id, event_type, details)
SELECT id, $2, jsonb_build_object('reason', 'locks', 'locks', $3::bigint)
  FROM sandboxes WHERE schema_name = $1 AND status <> 'destroyed';
