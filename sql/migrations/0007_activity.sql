-- How many events a sandbox has been sent. Written in batches: neither this nor last_activity_at is announced to routers.
ALTER TABLE sandboxes ADD COLUMN event_count bigint NOT NULL DEFAULT 0;

CREATE OR REPLACE VIEW sandbox_overview AS
SELECT sandbox.id, sandbox.name, sandbox.owner_id, sandbox.description, sandbox.status, sandbox.schema_name,
       sandbox.created_at, sandbox.expires_at, sandbox.last_activity_at,
       ARRAY(SELECT mapping.guild_id FROM sandbox_guild_mapping AS mapping
              WHERE mapping.sandbox_id = sandbox.id ORDER BY mapping.created_at, mapping.guild_id) AS guild_ids,
       sandbox.event_count
  FROM sandboxes AS sandbox;
