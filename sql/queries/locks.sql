-- reserve --
-- How many it took; and who is there is looked up, so that nothing is to be read when it matters. $1 how many locks
SELECT reserve_sandbox_locks($1), count(*) FILTER (WHERE pg_has_role(usesysid, 'USAGE'))
  FROM (SELECT DISTINCT usesysid FROM pg_stat_get_activity(NULL) WHERE usesysid IS NOT NULL) AS role;

-- hold --
-- Until the transaction ends: whoever ends sessions reads these and their indexes, as soon as any role has changed. Shared
-- by all databases, they always need room in the table. Planned, and never run.
EXPLAIN SELECT FROM pg_roles, pg_auth_members, pg_database;

-- end_hoarders --
-- Gives the reserve back and ends who holds too many. $1 the most that a sandbox may hold, $2 roles that may have no
-- session now, $3 how many locks the reserve has
SELECT role_id, schema_name, locks, sessions FROM end_sandbox_lock_hoarders($1, $2, $3);

-- end_blockers --
-- Functions of the catalogue (pg_sequences, pg_get_viewdef, pg_partition_tree) lock what their caller may not touch, and
-- keep that until the transaction's end; so does a grant with the role that gets it. Ends all sessions of a sandbox that
-- keeps somebody else waiting by a lock on what is not its own. $1 how long somebody has waited by then
WITH waiting AS MATERIALIZED (
    SELECT pid, usesysid FROM pg_stat_activity WHERE wait_event_type = 'Lock'),
wanted AS MATERIALIZED (
    SELECT waiting.usesysid, lock.locktype, lock.database, lock.relation, lock.classid, lock.objid
      FROM waiting JOIN pg_locks AS lock ON lock.pid = waiting.pid
     WHERE NOT lock.granted AND lock.waitstart < clock_timestamp() - $1::interval
       AND lock.database IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
       AND (lock.locktype = 'object' AND lock.classid = 'pg_authid'::regclass
            OR lock.locktype = 'relation' AND lock.relation IN (
                SELECT oid FROM pg_class
                 WHERE relnamespace::regnamespace::text NOT IN ('pg_catalog', 'pg_toast', 'information_schema')))),
blocker AS MATERIALIZED (
    SELECT DISTINCT session.usesysid, session.usename
      FROM wanted
      JOIN pg_locks AS held ON held.granted AND held.locktype = wanted.locktype AND held.database = wanted.database
       AND coalesce(held.relation, held.objid) = coalesce(wanted.relation, wanted.objid)
       AND held.classid IS NOT DISTINCT FROM wanted.classid
      JOIN pg_stat_activity AS session ON session.pid = held.pid
     WHERE session.usesysid <> wanted.usesysid AND session.usesysid IS DISTINCT FROM wanted.objid
       AND session.usename ~ '^sandbox_[0-9a-f]{8}$' AND pg_has_role(session.usesysid, 'USAGE')
       AND NOT EXISTS (SELECT FROM pg_class
                        WHERE oid = wanted.relation
                          AND session.usename IN (relnamespace::regnamespace::text, relowner::regrole::text))),
-- Whoever has a quarter of the room for what serializable transactions have read, without which others' fail.
reader AS MATERIALIZED (
    SELECT session.usesysid, session.usename
      FROM pg_locks AS lock JOIN pg_stat_activity AS session ON session.pid = lock.pid
     WHERE lock.mode = 'SIReadLock' AND session.usename ~ '^sandbox_[0-9a-f]{8}$'
       AND pg_has_role(session.usesysid, 'USAGE')
     GROUP BY session.usesysid, session.usename
    HAVING count(*) > current_setting('max_pred_locks_per_transaction')::bigint
                    * current_setting('max_connections')::bigint / 4)
SELECT blocker.usesysid AS role_id, blocker.usename::text AS schema_name,
       (SELECT count(*) FROM pg_locks AS lock JOIN pg_stat_activity AS session ON session.pid = lock.pid
         WHERE session.usesysid = blocker.usesysid) AS locks,
       (SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity AS session
         WHERE session.usesysid = blocker.usesysid) AS sessions
  FROM (TABLE blocker UNION TABLE reader) AS blocker;

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
