-- {columns} --
SELECT id, guild_id, type, name, definition, version FROM relay_commands

-- list --
-- Of one scope, in the order of their registration. $1 sandbox id, $2 guild id, NULL for the global ones
{columns} WHERE sandbox_id = $1 AND guild_id IS NOT DISTINCT FROM $2 ORDER BY id;

-- get --
-- $1 sandbox id, $2 guild id or NULL, $3 the command's id
{columns} WHERE sandbox_id = $1 AND guild_id IS NOT DISTINCT FROM $2 AND id = $3;

-- lock_sandbox --
-- Two registrations at a time would each replace what the other has left. $1 sandbox id
SELECT id FROM sandboxes WHERE id = $1 AND status = 'running' FOR NO KEY UPDATE;

-- put --
-- $1 id, $2 sandbox id, $3 guild id or NULL, $4 type, $5 name, $6 definition, $7 version
INSERT INTO relay_commands (id, sandbox_id, guild_id, type, name, definition, version)
VALUES ($1, $2, $3, $4, $5, $6, $7)
    ON CONFLICT ON CONSTRAINT relay_commands_name_key
    DO UPDATE SET definition = EXCLUDED.definition, version = EXCLUDED.version;

-- delete --
-- $1 sandbox id, $2 guild id or NULL, $3 ids
DELETE FROM relay_commands WHERE sandbox_id = $1 AND guild_id IS NOT DISTINCT FROM $2 AND id = ANY ($3::numeric[]);

-- delete_of_destroyed --
DELETE FROM relay_commands AS command USING sandboxes AS sandbox
 WHERE sandbox.id = command.sandbox_id AND sandbox.status IN ('destroying', 'destroyed');

-- list_guilds --
-- $1 sandbox id
SELECT guild_id FROM sandbox_guild_mapping WHERE sandbox_id = $1 ORDER BY guild_id;

-- list_stale --
-- Guilds in which Discord has something else than what belongs there.
SELECT DISTINCT guild_id
  FROM relay_wanted_commands AS wanted FULL JOIN relay_guild_commands AS present USING (guild_id, type, name)
 WHERE wanted.id IS NULL OR present.id IS NULL OR present.command_id <> wanted.id
    OR present.definition IS DISTINCT FROM wanted.definition;

-- wanted --
-- $1 guild id
SELECT type, name, id, sandbox_id, definition FROM relay_wanted_commands WHERE guild_id = $1 ORDER BY id;

-- present --
-- $1 guild id
SELECT type, name, id, command_id, definition, replaced FROM relay_guild_commands WHERE guild_id = $1;

-- claim --
-- No row if another process has it. $1 guild id, $2 for how long
INSERT INTO relay_guild_claims AS claim (guild_id, claimed_until) VALUES ($1, now() + $2)
    ON CONFLICT (guild_id) DO UPDATE SET claimed_until = EXCLUDED.claimed_until WHERE claim.claimed_until < now()
RETURNING guild_id;

-- release --
-- $1 guild id
DELETE FROM relay_guild_claims WHERE guild_id = $1;

-- intend --
-- Before Discord is asked, so that what is found there afterwards is known to be ours.
-- $1 guild id, $2 type, $3 name, $4 the command's id, $5 its sandbox, $6 definition, $7 what somebody else had there
INSERT INTO relay_guild_commands (guild_id, type, name, command_id, sandbox_id, definition, replaced)
VALUES ($1, $2, $3, $4, $5, $6, $7)
    ON CONFLICT (guild_id, type, name)
    DO UPDATE SET command_id = EXCLUDED.command_id, sandbox_id = EXCLUDED.sandbox_id, definition = EXCLUDED.definition,
                  id = NULL;

-- settle --
-- $1 guild id, $2 type, $3 name, $4 Discord's id
UPDATE relay_guild_commands SET id = $4 WHERE guild_id = $1 AND type = $2 AND name = $3;

-- forget --
-- $1 guild id, $2 type, $3 name
DELETE FROM relay_guild_commands WHERE guild_id = $1 AND type = $2 AND name = $3;

-- told_as --
-- What a bot was told of a command of a guild. $1 guild id, $2 Discord's id
SELECT present.command_id, command.guild_id IS NULL AS is_global
  FROM relay_guild_commands AS present JOIN relay_commands AS command ON command.id = present.command_id
 WHERE present.guild_id = $1 AND present.id = $2;

-- id_in_guild --
-- $1 guild id, $2 what the bot was told
SELECT id FROM relay_guild_commands WHERE guild_id = $1 AND command_id = $2;
