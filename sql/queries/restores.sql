-- {missing} --
-- Whether this database lacks a change that another store knows of. One that is older than the audit log is kept, or than
-- all that it holds, may have gone with its time; and what a restore has lost is settled. $1 its id, $2 when it was made,
-- $3 how long the audit log is kept
NOT EXISTS (SELECT FROM sandbox_audit_log WHERE id = $1 AND created_at = $2)
AND $2::timestamptz > now() - $3::interval
AND EXISTS (SELECT FROM sandbox_audit_log WHERE created_at <= $2)
AND $2 > coalesce((SELECT max(greatest(known_at, settled_at)) FROM restores WHERE settled_at IS NOT NULL), '-infinity')

-- get_newest --
-- Which installation this is, the last change that was committed in it, NULL if there is none, and whether a restore is
-- unsettled.
SELECT installation.id AS installation, newest.id AS change_id, newest.created_at AS made_at,
       restore_is_unsettled() AS is_unsettled
  FROM installation LEFT JOIN LATERAL (SELECT id, created_at FROM sandbox_audit_log ORDER BY id DESC LIMIT 1) AS newest
       ON true;

-- is_missing --
SELECT {missing};

-- is_there --
-- $1 the change's id, $2 when it was made
SELECT EXISTS (SELECT FROM sandbox_audit_log WHERE id = $1 AND created_at = $2);

-- is_unsettled --
SELECT restore_is_unsettled();

-- is_unsettled_or_missing --
SELECT restore_is_unsettled() OR ({missing});

-- list_tokens --
-- Of sandboxes that live.
SELECT id, token_sha256 FROM sandboxes JOIN sandbox_credentials ON sandbox_id = id WHERE status <> 'destroyed';

-- list_sandboxes --
-- Those that live, as far as other stores have something of them.
SELECT id, name, status, redis_database, credentials.sandbox_id IS NOT NULL AS has_token,
       coalesce(is_held, false) AS is_held,
       to_regrole('sandbox_worker') IS NULL OR sandbox_role_exists(schema_name) AS has_role
  FROM sandboxes LEFT JOIN sandbox_credentials AS credentials ON credentials.sandbox_id = id
 WHERE status <> 'destroyed' ORDER BY name;

-- begin --
-- No row if another process has noticed it. $1 when the newest change was made that is known, $2 the newest one here
INSERT INTO restores (known_at, newest_at) VALUES ($1, $2)
ON CONFLICT ((settled_at IS NULL)) WHERE settled_at IS NULL DO NOTHING RETURNING id;

-- lock_held --
-- In the order of their ids. $1 sandbox ids
SELECT id FROM sandboxes WHERE id = ANY ($1::uuid[]) AND status <> 'destroyed' ORDER BY id FOR UPDATE;

-- hold --
-- Nobody is let in by their credentials from the commit on. $1 sandbox ids, locked
WITH held AS (UPDATE sandbox_credentials SET is_held = true WHERE sandbox_id = ANY ($1::uuid[]) RETURNING sandbox_id)
SELECT shut_out_sandbox_role(sandbox_id) FROM held;

-- end_sessions --
-- $1 sandbox ids
SELECT end_sandbox_sessions(id) FROM unnest($1::uuid[]) AS id;

-- get_unsettled --
SELECT noticed_at, known_at, newest_at FROM restores WHERE settled_at IS NULL;

-- list_to_replace --
-- Whose credentials are held, or whose role was not restored; all, if $1.
SELECT sandbox_id FROM sandbox_credentials JOIN sandboxes ON id = sandbox_id
 WHERE (is_held OR to_regrole('sandbox_worker') IS NOT NULL AND NOT sandbox_role_exists(schema_name) OR $1::boolean)
   AND status IN ('running', 'expired')
 ORDER BY sandbox_id;

-- replace_database --
-- $1 sandbox id, $2 the one it has, $3 candidates
UPDATE sandboxes
   SET redis_database = (
       SELECT number FROM unnest($3::int[]) AS number
        WHERE NOT EXISTS (SELECT FROM sandboxes AS other
                           WHERE other.redis_database = number AND other.status <> 'destroyed') LIMIT 1)
 WHERE id = $1 AND redis_database = $2 AND status IN ('running', 'expired')
RETURNING redis_database;

-- list_out_of_time --
-- What has ended meanwhile may have been extended after the backup.
SELECT id FROM sandboxes WHERE status IN ('running', 'expired') AND expires_at <= now() ORDER BY id FOR UPDATE;

-- begin_grace --
-- From now on. $1 sandbox ids, locked
UPDATE sandboxes SET expires_at = now(), role_changed_at = clock_timestamp() WHERE id = ANY ($1::uuid[]);

-- mark_roles --
-- As this database's, wherever they have come from.
SELECT mark_sandbox_role(id) FROM sandboxes WHERE status <> 'destroyed' AND sandbox_role_exists(schema_name);

-- settle --
-- When it was noticed; no row if there is none to settle, or somebody else was faster.
UPDATE restores SET settled_at = now() WHERE settled_at IS NULL RETURNING noticed_at;

-- get_untold --
-- What the admins have not been told yet.
SELECT id, noticed_at, known_at, newest_at, settled_at, told_at FROM restores
 WHERE told_at IS NULL OR settled_at IS NOT NULL AND settlement_told_at IS NULL ORDER BY id LIMIT 1;

-- note_told --
-- $1 id, $2 whether they know that it is settled
UPDATE restores SET told_at = coalesce(told_at, now()), settlement_told_at = CASE WHEN $2 THEN now() END WHERE id = $1;
