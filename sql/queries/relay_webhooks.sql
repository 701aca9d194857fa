-- begin --
-- Before Discord is asked, so that none is forgotten. $1 sandbox id, $2 guild id, $3 channel id
INSERT INTO relay_webhooks (sandbox_id, guild_id, channel_id) VALUES ($1, $2, $3) RETURNING id;

-- settle --
-- $1 the row's id, $2 Discord's id of the webhook
UPDATE relay_webhooks SET webhook_id = $2, next_try_at = now() WHERE id = $1;

-- forget --
-- $1 the row's id
DELETE FROM relay_webhooks WHERE id = $1;

-- forget_webhook --
-- $1 Discord's id of the webhook
DELETE FROM relay_webhooks WHERE webhook_id = $1;

-- take_unanswered --
-- Those of which it is not known whether Discord has made them; the caller has them to itself until they are to be tried
-- again. $1 how long an answer may take, $2 when to try again
UPDATE relay_webhooks SET next_try_at = now() + $2::interval
 WHERE id IN (SELECT id FROM relay_webhooks
               WHERE webhook_id IS NULL AND begun_at < now() - $1::interval AND next_try_at <= now()
               ORDER BY id LIMIT 50 FOR UPDATE SKIP LOCKED)
RETURNING id, channel_id, begun_at;

-- take_left --
-- Those whose sandbox has not got their guild any more, in the same way. $1 when to try again
UPDATE relay_webhooks SET next_try_at = now() + $1::interval
 WHERE id IN (SELECT webhook.id FROM relay_webhooks AS webhook
               WHERE webhook.webhook_id IS NOT NULL AND webhook.next_try_at <= now() AND NOT EXISTS (
                     SELECT FROM sandbox_guild_mapping AS mapping JOIN sandboxes AS sandbox ON sandbox.id = mapping.sandbox_id
                      WHERE mapping.sandbox_id = webhook.sandbox_id AND mapping.guild_id = webhook.guild_id
                        AND sandbox.status NOT IN ('destroying', 'destroyed'))
               ORDER BY webhook.id LIMIT 50 FOR UPDATE SKIP LOCKED)
RETURNING id, webhook_id, sandbox_id, guild_id;

-- known --
-- $1 Discord's ids of webhooks
SELECT webhook_id FROM relay_webhooks WHERE webhook_id = ANY ($1::numeric[]);
