-- reserve --
-- How many it took. $1 how many locks
SELECT reserve_sandbox_locks($1);

-- end_hoarders --
-- Gives the reserve back and ends who holds too many. $1 the most that a sandbox may hold, $2 roles that may have no
-- session now, $3 how many locks the reserve has
SELECT role_id, schema_name, locks, sessions FROM end_sandbox_lock_hoarders($1, $2, $3);

-- audit --
-- $1 schema name, $2 event type, $3 how many locks it held
INSERT INTO sandbox_audit_log (sandbox_id, event_type, details)
SELECT id, $2, jsonb_build_object('reason', 'locks', 'locks', $3::bigint)
  FROM sandboxes WHERE schema_name = $1 AND status <> 'destroyed';
