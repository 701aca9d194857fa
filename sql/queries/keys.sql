-- current_key --
-- $1 purpose
SELECT secret FROM bot_keys WHERE purpose = $1 AND retired_at IS NULL ORDER BY id DESC LIMIT 1;

-- valid_keys --
-- The newest first. $1 purpose, $2 how long a retired one stays valid
SELECT secret FROM bot_keys WHERE purpose = $1 AND (retired_at IS NULL OR retired_at > now() - $2::interval)
 ORDER BY id DESC;

-- lock_keys --
-- One process at a time makes keys; others read on.
LOCK TABLE bot_keys IN SHARE ROW EXCLUSIVE MODE;

-- retire_keys --
-- $1 purpose
UPDATE bot_keys SET retired_at = now() WHERE purpose = $1 AND retired_at IS NULL;

-- add_key --
-- $1 purpose, $2 secret
INSERT INTO bot_keys (purpose, secret) VALUES ($1, $2);

-- get_custom_ids_since --
SELECT snowflake FROM custom_ids_since;
