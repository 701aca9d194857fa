-- list_expected --
-- The sandboxes whose stream has to be there.
SELECT id FROM sandboxes WHERE status IN ('running', 'expired');

-- list_repaired --
-- Those whose stream is made again if it is lost: none as long as a restore is unsettled.
SELECT id FROM sandboxes WHERE status IN ('running', 'expired') AND NOT restore_is_unsettled();

-- list_repaired_of --
-- The same for some. $1 names of their schemas
SELECT id FROM sandboxes
 WHERE status IN ('running', 'expired') AND schema_name = ANY ($1::text[]) AND NOT restore_is_unsettled();

-- is_expected --
-- $1 sandbox id
SELECT EXISTS (SELECT FROM sandboxes WHERE id = $1 AND status IN ('running', 'expired'));

-- list_guilds --
-- Whose events a sandbox's stream is to hold. $1 sandbox id
SELECT guild_id FROM sandbox_guild_mapping WHERE sandbox_id = $1 ORDER BY guild_id;
