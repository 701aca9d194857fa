-- list_valid --
-- The current one first. $1 purpose
SELECT secret FROM valid_bot_keys WHERE purpose = $1 ORDER BY id DESC;

-- list_all --
-- Those too that are valid no more. $1 purpose
SELECT secret FROM bot_keys WHERE purpose = $1;

-- make --
-- Unless there is a current one. $1 purpose
INSERT INTO bot_keys (purpose) VALUES ($1) ON CONFLICT (purpose) WHERE retired_at IS NULL DO NOTHING;

-- lock --
-- For the rest of the transaction against other rotations; reading goes on.
LOCK TABLE bot_keys IN SHARE ROW EXCLUSIVE MODE;

-- retire --
-- $1 purpose
UPDATE bot_keys SET retired_at = now() WHERE purpose = $1 AND retired_at IS NULL;

-- forget --
-- What is valid no more. $1 purpose
DELETE FROM bot_keys WHERE purpose = $1 AND id NOT IN (SELECT id FROM valid_bot_keys);

-- list_purposes --
SELECT DISTINCT purpose FROM bot_keys ORDER BY purpose;

-- get_custom_ids_since --
SELECT snowflake FROM custom_ids_since;
