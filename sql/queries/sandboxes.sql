-- {sandbox} --
-- The columns that a `Sandbox` is made of, for the statements that name this part: a later version may add others, and
-- `SELECT *` would break a running bot's prepared statements and its reading of the rows.
id, name, owner_id, description, status, schema_name, created_at, expires_at, last_activity_at,
       ARRAY(SELECT mapping.guild_id FROM sandbox_guild_mapping AS mapping
              WHERE mapping.sandbox_id = sandboxes.id ORDER BY mapping.created_at, mapping.guild_id) AS guild_ids,
       event_count, metadata, reference, redis_database

-- lock_owner --
-- Serialises one owner's creates by locking the owner's row, which is made if need be. $1 owner id
INSERT INTO sandbox_owners (id) VALUES ($1) ON CONFLICT (id) DO UPDATE SET id = excluded.id;

-- count_living --
-- Separate on purpose: inside lock_owner it would count what stood there before the wait. $1 owner id
SELECT count(*) FROM sandboxes WHERE owner_id = $1 AND status <> 'destroyed';

-- insert_sandbox --
-- No row if there is a schema of its schema's name, or a role, which another database of the server may have.
-- $1 id, $2 name, $3 owner id, $4 description, $5 time to live, $6 metadata
INSERT INTO sandboxes (id, name, owner_id, description, schema_name, expires_at, metadata)
SELECT $1, $2, $3, $4, schema_name, now() + $5::interval, $6 FROM sandbox_schema_name($1) AS schema_name
 WHERE to_regnamespace(schema_name) IS NULL AND to_regrole(schema_name) IS NULL
RETURNING id;

-- take_database --
-- The first of Valkey's that is free. $1 id, $2 numbers
UPDATE sandboxes
   SET redis_database = (
       SELECT number FROM unnest($2::int[]) AS number
        WHERE NOT EXISTS (SELECT FROM sandboxes AS other
                           WHERE other.redis_database = number AND other.status <> 'destroyed') LIMIT 1)
 WHERE id = $1;

-- lock_sandbox --
-- $1 sandbox id
SELECT id FROM sandboxes WHERE id = $1 FOR UPDATE;

-- get_sandbox --
-- Separate on purpose: inside lock_sandbox it would see the guilds as they stood before the wait. $1 sandbox id
SELECT {sandbox} FROM sandboxes WHERE id = $1;

-- get_sandbox_by_reference --
-- $1 reference
SELECT {sandbox} FROM sandboxes WHERE reference = $1;

-- get_sandbox_by_name --
-- $1 name
SELECT {sandbox} FROM sandboxes WHERE name = $1 AND status <> 'destroyed';

-- get_sandbox_by_schema_name --
-- $1 schema name
SELECT {sandbox} FROM sandboxes WHERE schema_name = $1 AND status <> 'destroyed';

-- get_sandbox_by_guild_id --
-- $1 guild id
SELECT {sandbox} FROM sandboxes
 WHERE id = (SELECT sandbox_id FROM sandbox_guild_mapping WHERE guild_id = $1);

-- list_sandboxes --
-- Newest first. $1 owner id or NULL for everybody's, $2 statuses, $3 limit, $4 how many to skip, $5 tags that it has or
-- NULL for any
SELECT {sandbox} FROM sandboxes
 WHERE ($1::numeric IS NULL OR owner_id = $1) AND status = ANY ($2::text[]::sandbox_status[])
   AND ($5::jsonb IS NULL OR metadata -> 'tags' @> $5)
 ORDER BY created_at DESC, id LIMIT $3 OFFSET $4;

-- list_living --
-- The same, of any tags, of statuses that are not destroyed: the indexes know that, and a history may be long.
SELECT {sandbox} FROM sandboxes
 WHERE ($1::numeric IS NULL OR owner_id = $1) AND status = ANY ($2::text[]::sandbox_status[]) AND status <> 'destroyed'
 ORDER BY created_at DESC, id LIMIT $3 OFFSET $4;

-- list_tagged --
-- As list_living, of those that have certain tags: a statement of its own, for one of any tags could not use their index.
-- $5 tags
SELECT {sandbox} FROM sandboxes
 WHERE ($1::numeric IS NULL OR owner_id = $1) AND status = ANY ($2::text[]::sandbox_status[]) AND status <> 'destroyed'
   AND metadata -> 'tags' @> $5
 ORDER BY created_at DESC, id LIMIT $3 OFFSET $4;

-- count_living_of --
-- As list_living. $1 owner id or NULL for everybody's, $2 statuses
SELECT count(*) FROM sandboxes
 WHERE ($1::numeric IS NULL OR owner_id = $1) AND status = ANY ($2::text[]::sandbox_status[]) AND status <> 'destroyed';

-- count_tagged --
-- As list_tagged. $1 owner id or NULL for everybody's, $2 statuses, $3 tags
SELECT count(*) FROM sandboxes
 WHERE ($1::numeric IS NULL OR owner_id = $1) AND status = ANY ($2::text[]::sandbox_status[]) AND status <> 'destroyed'
   AND metadata -> 'tags' @> $3;

-- count_sandboxes --
-- $1 owner id or NULL for everybody's, $2 statuses, $3 tags or NULL for any
SELECT count(*) FROM sandboxes
 WHERE ($1::numeric IS NULL OR owner_id = $1) AND status = ANY ($2::text[]::sandbox_status[])
   AND ($3::jsonb IS NULL OR metadata -> 'tags' @> $3);

-- suggest_sandboxes --
-- The asker's own first, then, for an admin, everybody's. $1 asker id, $2 is an admin, $3 part of the name, $4 limit
SELECT {sandbox} FROM sandboxes
 WHERE status <> 'destroyed' AND ($2 OR owner_id = $1) AND strpos(name, $3) > 0
 ORDER BY owner_id = $1 DESC, starts_with(name, $3) DESC, created_at DESC, id LIMIT $4;

-- change_status --
-- Changes nothing if the status is not the expected one any more. $1 sandbox id, $2 expected, $3 wanted; for the audit
-- row $4 event type, $5 actor id or NULL for the bot itself, $6 details
WITH changed AS (
    UPDATE sandboxes
       SET status = $3, status_changed_at = now(),
           destroyed_at = CASE WHEN $3::sandbox_status = 'destroyed' THEN now() END
     WHERE id = $1 AND status = $2
    RETURNING id
)
INSERT INTO sandbox_audit_log (sandbox_id, event_type, actor_id, details) SELECT id, $4, $5, $6 FROM changed
RETURNING sandbox_id;

-- set_expiry --
-- $1 sandbox id, $2 new expiry
UPDATE sandboxes SET expires_at = $2 WHERE id = $1;

-- bind_guild --
-- No row if the guild is bound already, be it to this sandbox. $1 guild id, $2 sandbox id, $3 who binds
INSERT INTO sandbox_guild_mapping (guild_id, sandbox_id, bound_by) VALUES ($1, $2, $3)
ON CONFLICT ON CONSTRAINT sandbox_guild_mapping_pkey DO NOTHING RETURNING guild_id;

-- unbind_guild --
-- $1 guild id, $2 sandbox id
DELETE FROM sandbox_guild_mapping WHERE guild_id = $1 AND sandbox_id = $2 RETURNING guild_id;

-- unbind_all --
-- $1 sandbox id
DELETE FROM sandbox_guild_mapping WHERE sandbox_id = $1 RETURNING guild_id;

-- list_bound_guilds --
-- Those that somebody bound who was there with the bot; the operator ($1) may bind one before the bot comes.
SELECT guild_id FROM sandbox_guild_mapping WHERE bound_by <> $1;

-- is_bound_by --
-- $1 guild id, $2 sandbox id, $3 who bound it
SELECT EXISTS (SELECT FROM sandbox_guild_mapping WHERE guild_id = $1 AND sandbox_id = $2 AND bound_by = $3);

-- list_bindings_of --
-- $1 guild ids, $2 the operator, who needs no right in a guild
SELECT guild_id, sandbox_id, bound_by AS binder_id FROM sandbox_guild_mapping
 WHERE guild_id = ANY ($1::numeric[]) AND bound_by <> $2;

-- list_due_bindings --
-- Whose binder's right is to be looked at, the longest due first. $1 how long after the binding it is for the first time,
-- $2 the operator, $3 how many shards there are, $4 those whose guilds are meant, $5 limit
SELECT mapping.guild_id, mapping.sandbox_id, mapping.bound_by AS binder_id
  FROM sandbox_guild_mapping AS mapping LEFT JOIN sandbox_binding_checks AS planned USING (guild_id)
 WHERE mapping.bound_by <> $2 AND coalesce(planned.next_at, mapping.created_at + $1::interval) <= now()
   AND div(mapping.guild_id, 4194304) % $3::integer = ANY ($4::integer[])
 ORDER BY coalesce(planned.next_at, mapping.created_at + $1::interval) LIMIT $5;

-- schedule_check --
-- Nothing if it is bound no more. $1 guild id, $2 who bound it, $3 in how long
INSERT INTO sandbox_binding_checks (guild_id, next_at)
SELECT guild_id, now() + $3::interval FROM sandbox_guild_mapping
 WHERE guild_id = $1 AND bound_by = $2 FOR KEY SHARE  -- an unbinding at the same time would break the reference
ON CONFLICT (guild_id) DO UPDATE SET next_at = excluded.next_at;

-- write_audit --
-- $1 sandbox id, $2 event type, $3 actor id or NULL for the bot itself, $4 details
INSERT INTO sandbox_audit_log (sandbox_id, event_type, actor_id, details) VALUES ($1, $2, $3, $4);

-- audit_all --
-- A row for each living sandbox. $1 event, $2 details
INSERT INTO sandbox_audit_log (sandbox_id, event_type, details)
SELECT id, $1, $2 FROM sandboxes WHERE status <> 'destroyed';

-- read_audit --
-- Newest first. $1 sandbox id, $2 limit
SELECT id, sandbox_id, event_type, actor_id, details, created_at
  FROM sandbox_audit_log WHERE sandbox_id = $1 ORDER BY id DESC LIMIT $2;

-- read_audit_log --
-- Oldest first, a page at a time. $1 the last id of the page before, $2 sandbox id or NULL, $3 since when or NULL, $4 limit
SELECT id, sandbox_id, event_type, actor_id, details, created_at
  FROM sandbox_audit_log
 WHERE id > $1 AND ($2::uuid IS NULL OR sandbox_id = $2) AND ($3::timestamptz IS NULL OR created_at >= $3)
 ORDER BY id LIMIT $4;

-- delete_audit --
-- The oldest first, none of a sandbox that has not ended. $1 how long they are kept, $2 limit
DELETE FROM sandbox_audit_log
 WHERE id IN (SELECT entry.id FROM sandbox_audit_log AS entry
               WHERE entry.created_at < now() - $1::interval
                 AND NOT EXISTS (SELECT FROM sandboxes WHERE id = entry.sandbox_id AND status <> 'destroyed')
               ORDER BY entry.created_at LIMIT $2)
RETURNING id;

-- touch --
-- $1 sandbox id
UPDATE sandboxes SET last_activity_at = now() WHERE id = $1 AND status = 'running' RETURNING id;

-- add_activity --
-- In the order of the ids, so that two processes never wait for each other in a circle. Neither status nor expiry is
-- set, for that would be announced. $1 sandbox ids, $2 how many events each was sent
WITH counted AS (
    SELECT sandbox.id, counted.events
      FROM sandboxes AS sandbox JOIN unnest($1::uuid[], $2::bigint[]) AS counted (id, events) ON counted.id = sandbox.id
     ORDER BY sandbox.id FOR NO KEY UPDATE OF sandbox
)
UPDATE sandboxes AS sandbox SET event_count = sandbox.event_count + counted.events, last_activity_at = now()
  FROM counted WHERE sandbox.id = counted.id;

-- find_expired --
-- Running past their time, the longest overdue first. $1 limit or NULL
SELECT {sandbox} FROM sandboxes WHERE status = 'running' AND expires_at <= now() ORDER BY expires_at LIMIT $1;

-- find_overdue --
-- Expired, with the grace time over; after a restore that nobody has settled it may have been extended. $1 grace, $2 limit
-- or NULL
SELECT id FROM sandboxes
 WHERE status = 'expired' AND expires_at <= now() - $1::interval AND NOT restore_is_unsettled()
 ORDER BY expires_at LIMIT $2;

-- find_stuck --
-- Unfinished, and released or without a heartbeat: nobody works on it. What was being made when a backup was taken may run
-- by now, as far as nobody has settled that. $1 since how long, $2 limit or NULL
SELECT id FROM sandboxes
 WHERE status IN ('pending', 'creating', 'destroying')
   AND (attended_at = '-infinity' OR greatest(status_changed_at, attended_at) <= now() - $1::interval)
   AND (status = 'destroying' OR NOT restore_is_unsettled())
 ORDER BY status_changed_at LIMIT $2;

-- claim_stuck --
-- A heartbeat of whoever takes it over; no row if there was one meanwhile. $1 sandbox id, $2 since how long none must be
UPDATE sandboxes SET attended_at = now()
 WHERE id = $1 AND status IN ('pending', 'creating', 'destroying')
   AND (attended_at = '-infinity' OR greatest(status_changed_at, attended_at) <= now() - $2::interval)
RETURNING id;

-- has_run --
-- Whether it was ever made. $1 sandbox id
SELECT EXISTS (SELECT FROM sandbox_audit_log
                WHERE sandbox_id = $1 AND event_type = 'status_changed' AND details ->> 'to' = 'running');

-- heartbeat --
-- The unfinished ones of those that somebody works on, in the order of their ids as in add_activity. $1 sandbox ids
WITH unfinished AS (
    SELECT id FROM sandboxes WHERE id = ANY ($1::uuid[]) AND status IN ('pending', 'creating', 'destroying')
     ORDER BY id FOR NO KEY UPDATE
)
UPDATE sandboxes AS sandbox SET attended_at = now() FROM unfinished WHERE sandbox.id = unfinished.id;

-- release --
-- Nobody works on them any more; in the same order. $1 sandbox ids, or NULL for all
WITH unfinished AS (
    SELECT id FROM sandboxes
     WHERE ($1::uuid[] IS NULL OR id = ANY ($1)) AND status IN ('pending', 'creating', 'destroying')
     ORDER BY id FOR NO KEY UPDATE
)
UPDATE sandboxes AS sandbox SET attended_at = '-infinity' FROM unfinished WHERE sandbox.id = unfinished.id;

-- withdraw_scripts --
-- No row if it was done before, or the sandbox has ended. $1 sandbox id
UPDATE sandboxes SET scripts_withdrawn_at = now()
 WHERE id = $1 AND scripts_withdrawn_at IS NULL AND status IN ('running', 'expired')
RETURNING id;
