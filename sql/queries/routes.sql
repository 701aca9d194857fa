-- load_routes --
-- Every route that is open now: a running sandbox's guilds. The route itself carries the expiry.
SELECT mapping.guild_id, sandbox.id AS sandbox_id, sandbox.expires_at
  FROM sandbox_guild_mapping AS mapping
  JOIN sandboxes AS sandbox ON sandbox.id = mapping.sandbox_id
 WHERE sandbox.status = 'running';

-- load_routes_of --
-- The same for some guilds; one that has no row has no route. $1 guild ids
SELECT mapping.guild_id, sandbox.id AS sandbox_id, sandbox.expires_at
  FROM sandbox_guild_mapping AS mapping
  JOIN sandboxes AS sandbox ON sandbox.id = mapping.sandbox_id
 WHERE sandbox.status = 'running' AND mapping.guild_id = ANY ($1::numeric[]);

-- listen --
-- Safe to repeat; an answer shows that the line is alive, which by itself would tell nothing of its death.
LISTEN sandbox_routes;
