-- probe --
-- Whether this role may give every sandbox a login of its own, and what is missing otherwise.
SELECT me.rolcreaterole OR me.rolsuper AS may_create_roles,
       EXISTS (SELECT FROM pg_roles WHERE rolname = 'sandbox_worker') AS has_group,
       me.rolsuper OR EXISTS (
           SELECT FROM pg_auth_members AS membership JOIN pg_roles AS worker ON worker.oid = membership.roleid
            WHERE worker.rolname = 'sandbox_worker' AND membership.member = me.oid AND membership.admin_option
       ) AS may_grant_group,
       has_schema_privilege('public', 'public', 'USAGE') AS public_is_open,
       coalesce(has_schema_privilege('public', to_regnamespace('sandbox_control'), 'USAGE'), false) AS control_is_open,
       (SELECT count(*) = 2 FROM pg_event_trigger
         WHERE evtname IN ('sandboxes_confined_start', 'sandboxes_confined_end') AND evtenabled = 'A') AS has_guard
  FROM pg_roles AS me WHERE me.rolname = current_user;

-- server_started_at --
-- Not when it read its settings, which each session does at a time of its own.
SELECT pg_postmaster_start_time();

-- group_may_connect --
-- Asked only if the group exists.
SELECT has_database_privilege('sandbox_worker', current_database(), 'CONNECT');

-- group_may_create --
-- Asked only if the group exists.
SELECT has_database_privilege('sandbox_worker', current_database(), 'CREATE');

-- become_trial_role --
-- In a transaction that is rolled back, perhaps of a database that is not migrated yet: a role as sandboxes have them, by
-- a name that the bot has drawn and that is written into it.
DO $$ BEGIN
    CREATE ROLE %(role)s NOLOGIN;
    GRANT %(role)s TO CURRENT_USER;
    GRANT sandbox_worker TO %(role)s;
    PERFORM set_config('role', '%(role)s', true);
END $$;

-- limits --
-- Of the whole server. A role that is not there (before 16) is none to be in.
SELECT (SELECT setting::int FROM pg_settings WHERE name = 'authentication_timeout') AS login_s,
       (SELECT setting::int FROM pg_settings WHERE name = 'max_prepared_transactions') AS prepared,
       coalesce((SELECT setting::int FROM pg_settings WHERE name = 'reserved_connections'), 0) AS reserved,
       coalesce(pg_has_role(to_regrole('pg_use_reserved_connections'), 'USAGE'), false) AS may_use_reserved,
       (SELECT setting::int FROM pg_settings WHERE name = 'temp_file_limit') AS temp_kilobytes;

-- connections --
-- Of the whole server, and the sandboxes that may open some.
SELECT current_setting('max_connections')::int AS total,
       current_setting('superuser_reserved_connections')::int AS for_superusers,
       CASE WHEN pg_has_role(to_regrole('pg_use_reserved_connections'), 'USAGE')
            THEN current_setting('reserved_connections')::int ELSE 0 END AS for_bots,
       (SELECT count(*)::int FROM sandboxes WHERE status <> 'destroyed') AS living;

-- create_role --
-- $1 sandbox id, $2 its expiry, $3 how many connections it may have
SELECT create_sandbox_role($1, $2, $3), mark_sandbox_role($1);

-- list_not_handed_over --
-- Living sandboxes with a role that does not own all that an earlier version has made in their schema: in another order
-- each time, for one whose worker holds a table is tried again. $1 how many
SELECT id FROM sandboxes
 WHERE status IN ('running', 'expired') AND sandbox_role_exists(schema_name) AND schema_name IN (
       SELECT nspname FROM pg_shdepend AS owned
         JOIN pg_depend AS member ON member.classid = owned.classid AND member.objid = owned.objid
          AND member.refclassid = 'pg_namespace'::regclass
         JOIN pg_namespace AS place ON place.oid = member.refobjid
        WHERE owned.refclassid = 'pg_authid'::regclass AND owned.refobjid = to_regrole(quote_ident(current_user))
          AND owned.dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
          AND owned.deptype = 'o' AND owned.classid <> 'pg_namespace'::regclass)
 ORDER BY random() LIMIT $1;

-- hand_over --
-- False if it is to be tried again. $1 sandbox id
SELECT hand_over_sandbox($1);

-- list_foreign --
-- Tables and views in the sandbox's schema that are neither its role's nor the bot's, and that it was granted nothing of;
-- none for a sandbox without a role. $1 sandbox id, $2 how many
SELECT relname AS name, owner.rolname AS owner,
       format('ALTER TABLE %I.%I OWNER TO %I', nspname, relname, nspname) AS command
  FROM pg_namespace JOIN pg_class ON relnamespace = pg_namespace.oid JOIN pg_roles AS owner ON owner.oid = relowner
 WHERE nspname = sandbox_schema_name($1) AND relkind IN ('r', 'p', 'v', 'm', 'f')
   AND owner.rolname NOT IN (nspname, current_user)
   AND NOT has_table_privilege(to_regrole(nspname), pg_class.oid, 'SELECT, INSERT, UPDATE, DELETE')
 ORDER BY relname LIMIT $2;

-- note_role --
-- The role is to follow what this transaction commits. $1 sandbox id
UPDATE sandboxes SET role_changed_at = clock_timestamp() WHERE id = $1;

-- get_role_changed_at --
-- $1 sandbox id
SELECT role_changed_at FROM sandboxes WHERE id = $1;

-- shut_out_role --
-- Noted, and no new login from the commit on. $1 sandbox id
SELECT shut_out_sandbox_role($1);

-- cut_role --
-- For good: no credentials, and no new login from the commit on. $1 sandbox id
WITH deleted AS (DELETE FROM sandbox_credentials WHERE sandbox_id = $1)
SELECT cut_sandbox_role($1);

-- alter_role --
-- False if a session of the role's keeps it from that. $1 sandbox id, $2 when it was noted
SELECT alter_sandbox_role($1, $2);

-- readmit_role --
-- False if it has changed again, or somebody else has done it. $1 sandbox id, $2 when it was noted
SELECT readmit_sandbox_role($1, $2);

-- end_sessions --
-- $1 sandbox id
SELECT end_sandbox_sessions($1);

-- end_sessions_of_before --
-- None of a sandbox that runs and whose role is in line: those are by what counts now. $1 sandbox id
SELECT end_sandbox_sessions(id) FROM sandboxes WHERE id = $1 AND (role_changed_at IS NOT NULL OR status <> 'running');

-- end_overlong_transactions --
-- $1 the longest that a transaction may take
SELECT end_overlong_sandbox_transactions($1);

-- drop_strays --
-- How many things of the group's were dropped. $1 at most so many of each kind
SELECT drop_stray_large_objects($1) + drop_stray_sandbox_objects($1);

-- relieve_notify_queue --
-- How many sessions were ended. $1 the share of the queue that may be used, $2 how long a transaction may hold it up
SELECT relieve_notify_queue($1, $2);

-- end_revoked_sessions --
-- Of sandboxes without credentials that count, and those that began before the last end_sessions.
SELECT end_barred_sandbox_sessions();

-- is_standby --
SELECT pg_is_in_recovery();

-- end_misplaced_sessions --
-- On a server that does not take the bot's writes, perhaps a standby. Whoever only asks which server it is has gone
-- after $1.
SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
 WHERE usename ~ '^sandbox_[0-9a-f]{8}$' AND datname = current_database() AND sandbox_role_exists(usename)
   AND backend_start < clock_timestamp() - $1::interval;

-- revoke_borrowed_roles --
-- Of sandboxes by other ones, whose role names it returns.
SELECT revoke_borrowed_sandbox_roles() AS borrower;

-- end_sessions_of --
-- $1 role names of sandboxes
SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = ANY ($1::text[]);

-- end_other_holders --
-- Sessions of other sandboxes that have locked something of this one's, or its role, to which they granted something: see
-- `end_blockers`. $1 sandbox id
SELECT count(pg_terminate_backend(session.pid))
  FROM pg_locks AS held JOIN pg_stat_activity AS session ON session.pid = held.pid,
       LATERAL (SELECT sandbox_schema_name($1) AS name) AS own
 WHERE session.usename ~ '^sandbox_[0-9a-f]{8}$' AND session.usename <> own.name AND sandbox_role_exists(session.usename)
   AND (held.locktype = 'object' AND held.classid = 'pg_authid'::regclass
            AND held.objid = to_regrole(quote_ident(own.name))
        OR held.locktype = 'relation'
            AND held.database = (SELECT oid FROM pg_database WHERE datname = current_database())
            AND held.relation IN (SELECT oid FROM pg_class
                                   WHERE relnamespace = to_regnamespace(quote_ident(own.name))
                                      OR relnamespace IN (SELECT oid FROM extra_sandbox_schemas(own.name))));

-- list_held_back --
-- With a session that began before the last end_sessions and is there $1 after it: somebody held its login back, and may
-- have set the password that was replaced meanwhile.
SELECT DISTINCT sandbox.id
  FROM pg_stat_activity AS session JOIN sandboxes AS sandbox ON sandbox.schema_name = session.usename
  JOIN sandbox_credentials AS credentials ON credentials.sandbox_id = sandbox.id
 WHERE sandbox.status = 'running' AND session.datname = current_database()
   AND session.backend_start < credentials.cut_at AND credentials.cut_at <= now() - $1::interval;

-- mark_changed --
-- $1 sandbox id
UPDATE sandboxes SET access_changed_at = clock_timestamp() WHERE id = $1;

-- begin_applying --
-- When it had changed, and whether this is the first time that it is applied. $1 sandbox id, $2 whether whoever is
-- connected is disconnected now: until here somebody may have come in by what was replaced, and from here on nobody does.
WITH counted AS (
    UPDATE sandbox_credentials SET issued_at = clock_timestamp()
      FROM sandboxes WHERE id = sandbox_id AND sandbox_id = $1 AND $2 AND issued_at <= access_changed_at RETURNING id)
SELECT (SELECT access_changed_at FROM sandboxes WHERE id = $1) AS changed_at, EXISTS (SELECT FROM counted) AS is_first;

-- get_ages --
-- For how many seconds the credentials have been the only ones that count; null if none counts, infinity if the clock was
-- set back since. $1 sandbox ids
SELECT sandbox.id, CASE WHEN sandbox.status = 'running' AND sandbox.expires_at > now() AND NOT is_held
       THEN CASE WHEN credentials.issued_at > clock_timestamp() THEN 'infinity'
                 ELSE extract(epoch FROM clock_timestamp() - credentials.issued_at) END::float8 END AS age_s
  FROM sandboxes AS sandbox LEFT JOIN sandbox_credentials AS credentials ON credentials.sandbox_id = sandbox.id
 WHERE sandbox.id = ANY ($1::uuid[]);

-- mark_applied --
-- No row if it has changed again, or is being taken down. $1 sandbox id, $2 when it had changed
UPDATE sandboxes SET access_changed_at = NULL
 WHERE id = $1 AND access_changed_at = $2 AND status IN ('running', 'expired')
RETURNING id;

-- list_unapplied --
-- Changes that nobody has applied for $1, for whoever made them is gone; a teardown needs no mark, being repeated itself.
SELECT id, access_changed_at IS NULL AS is_of_role_alone FROM sandboxes
 WHERE (access_changed_at <= now() - $1::interval OR role_changed_at <= now() - $1::interval)
   AND status IN ('running', 'expired');

-- drop_role --
-- $1 sandbox id
SELECT drop_sandbox_role($1);

-- replace_credentials --
-- Here; the role is shut out until its password has followed. $1 sandbox id, $2 SCRAM verifier, $3 SHA-256 of the token
WITH saved AS (
    INSERT INTO sandbox_credentials (sandbox_id, scram_verifier, token_sha256) VALUES ($1, $2, $3)
    ON CONFLICT (sandbox_id) DO UPDATE
       SET scram_verifier = excluded.scram_verifier, token_sha256 = excluded.token_sha256, issued_at = now(), is_held = false
    RETURNING sandbox_id
)
SELECT shut_out_sandbox_role(sandbox_id) FROM saved;

-- save_credentials --
-- The first ones: here and as the role's password. $1 sandbox id, $2 SCRAM verifier, $3 SHA-256 of the token
WITH saved AS (
    INSERT INTO sandbox_credentials (sandbox_id, scram_verifier, token_sha256) VALUES ($1, $2, $3)
    ON CONFLICT (sandbox_id) DO UPDATE
       SET scram_verifier = excluded.scram_verifier, token_sha256 = excluded.token_sha256, issued_at = now(), is_held = false
    RETURNING sandbox_id, scram_verifier
)
SELECT set_sandbox_role_password(sandbox_id, scram_verifier) FROM saved;

-- has_credentials --
-- $1 sandbox id
SELECT EXISTS (SELECT FROM sandbox_credentials WHERE sandbox_id = $1);

-- get_login --
-- What a login is checked by; no row unless the sandbox runs, or while its credentials are held. $1 sandbox id
SELECT credentials.token_sha256, sandbox.expires_at, sandbox.redis_database,
       sandbox.scripts_withdrawn_at IS NULL AS scripts
  FROM sandbox_credentials AS credentials JOIN sandboxes AS sandbox ON sandbox.id = credentials.sandbox_id
 WHERE sandbox.id = $1 AND sandbox.status = 'running' AND sandbox.expires_at > now() AND NOT is_held;

-- get_logins --
-- As get_login, of many at once. $1 sandbox ids
SELECT sandbox.id, credentials.token_sha256, sandbox.expires_at, sandbox.redis_database,
       sandbox.scripts_withdrawn_at IS NULL AS scripts
  FROM sandbox_credentials AS credentials JOIN sandboxes AS sandbox ON sandbox.id = credentials.sandbox_id
 WHERE sandbox.id = ANY ($1::uuid[]) AND sandbox.status = 'running' AND sandbox.expires_at > now() AND NOT is_held;

-- list_logins --
-- Of all running sandboxes.
SELECT sandbox.id
  FROM sandbox_credentials AS credentials JOIN sandboxes AS sandbox ON sandbox.id = credentials.sandbox_id
 WHERE sandbox.status = 'running' AND sandbox.expires_at > now() AND NOT is_held;

-- list_revoked --
-- Those of $1 that are sandboxes of this database, but with no token that counts. $1 sandbox ids
SELECT sandbox.id FROM sandboxes AS sandbox
  LEFT JOIN sandbox_credentials AS credentials ON credentials.sandbox_id = sandbox.id
 WHERE sandbox.id = ANY ($1::uuid[])
   AND (credentials.sandbox_id IS NULL OR sandbox.status <> 'running' OR sandbox.expires_at <= now());
