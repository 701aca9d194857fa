-- list_roles --
-- $1 the age under which a role is spared
SELECT role_name, is_ours, was_destroyed FROM orphaned_sandbox_roles($1);

-- shut_out_role --
-- In a transaction before `drop_role`. $1 role name, $2 the age under which it is spared
SELECT shut_out_orphaned_sandbox_role($1, $2);

-- drop_role --
-- True if it was an orphan still. $1 role name, $2 the age under which it is spared
SELECT drop_orphaned_sandbox_role($1, $2);

-- classify --
-- What this database knows of them; no row of one that it does not know. $1 sandbox ids, $2 grace time
SELECT id, status <> 'destroyed' AS lives, coalesce(destroyed_at <= now() - $2::interval, false) AS is_over
  FROM sandboxes WHERE id = ANY ($1::uuid[]);

-- list_in_discord --
-- What the bots of destroyed sandboxes have made in Discord, where it still is. $1 the age under which it is spared
SELECT made.kind, made.name, made.sandbox_id
  FROM (SELECT 'command' AS kind, format('%s in server %s', name, guild_id) AS name, sandbox_id FROM relay_guild_commands
         UNION ALL
        SELECT 'webhook', format('%s in server %s', coalesce(webhook_id::text, 'unknown'), guild_id), sandbox_id
          FROM relay_webhooks) AS made
  LEFT JOIN sandboxes AS sandbox ON sandbox.id = made.sandbox_id
 WHERE sandbox.id IS NULL OR sandbox.destroyed_at <= now() - $1::interval
 ORDER BY made.kind, made.name;

-- claim_turn --
-- True for one process at a time: for a while, after which another one may if this one has not finished; for none while a
-- restore is unsettled. $1 how often, $2 for how long
UPDATE sandbox_orphan_sweeps SET swept_at = now() - $1::interval + least($1::interval, $2::interval)
 WHERE swept_at <= now() - $1::interval AND NOT restore_is_unsettled() RETURNING true;

-- finish_turn --
-- The next one is due as long after it as it says.
UPDATE sandbox_orphan_sweeps SET swept_at = now();
