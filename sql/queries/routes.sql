-- load_revision --
-- Read before the routes, which so hold at least what it counts.
SELECT revision FROM sandbox_route_revision;

-- load_routes --
-- Every route that is open now: a running sandbox's guilds. The route itself carries its end, as the seconds
-- until then: the bot's own clock may be wrong.
SELECT mapping.guild_id, sandbox.id AS sandbox_id,
       extract(epoch FROM sandbox.expires_at - clock_timestamp())::float8 AS remaining_s
  FROM sandbox_guild_mapping AS mapping
  JOIN sandboxes AS sandbox ON sandbox.id = mapping.sandbox_id
 WHERE sandbox.status = 'running';

-- load_routes_of --
-- The same for some guilds; one that has no row has no route. $1 guild ids
SELECT mapping.guild_id, sandbox.id AS sandbox_id,
       extract(epoch FROM sandbox.expires_at - clock_timestamp())::float8 AS remaining_s
  FROM sandbox_guild_mapping AS mapping
  JOIN sandboxes AS sandbox ON sandbox.id = mapping.sandbox_id
 WHERE sandbox.status = 'running' AND mapping.guild_id = ANY ($1::numeric[]);

-- load_changes --
-- The same for those that have changed after a revision, with the revision of that; sandbox_id is NULL for one that has no
-- route any more. $1 revision
SELECT change.guild_id, change.revision, sandbox.id AS sandbox_id,
       extract(epoch FROM sandbox.expires_at - clock_timestamp())::float8 AS remaining_s
  FROM sandbox_route_changes AS change
  LEFT JOIN (sandbox_guild_mapping AS mapping
             JOIN sandboxes AS sandbox ON sandbox.id = mapping.sandbox_id AND sandbox.status = 'running')
    ON mapping.guild_id = change.guild_id
 WHERE change.revision > $1;

-- {hint_channels} --
-- The bots listen on all of them, and are hinted at on all of them.
SELECT 'hint_' || left(encode(secret, 'hex'), 32) AS channel FROM valid_bot_keys WHERE purpose = 'hint channel'

-- list_hint_channels --
{hint_channels};

-- hint --
-- To whoever listens there, and with the guilds to bots of version 0.1, which know another channel alone. All NOTIFYs of a
-- server wait for each other, so this one gives up soon; and nobody waits for the disk for its sake. $1 guild ids
SELECT set_config('lock_timeout', '200ms', true), set_config('synchronous_commit', 'off', true),
       (SELECT count(pg_notify(channel, '')) FROM ({hint_channels}) AS valid),
       (SELECT count(pg_notify('sandbox_routes', guild_id)) FROM unnest($1::text[]) AS guild_id);
