-- The owner is told when the bot is removed from a bound guild. Each unbinding is one row gone, and so one notice: only
-- notices of an expiry could be written twice.
ALTER TYPE sandbox_notice_kind ADD VALUE 'guild_removed';
ALTER TABLE sandbox_notices ADD COLUMN guild_id numeric(20), ADD COLUMN guild_name text;
ALTER TABLE sandbox_notices DROP CONSTRAINT sandbox_notices_once;
CREATE UNIQUE INDEX sandbox_notices_once ON sandbox_notices (sandbox_id, kind, expires_at) WHERE guild_id IS NULL;
