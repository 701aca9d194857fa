-- {tenants} --
-- The sandboxes whose bots may log in now, with what they log in by and the guilds that are theirs.
SELECT sandbox.id, sandbox.name, sandbox.owner_id, credentials.token_sha256,
       extract(epoch FROM sandbox.expires_at - now())::float8 AS remaining_s,
       (SELECT entry.id FROM sandbox_audit_log AS entry
         WHERE entry.sandbox_id = sandbox.id AND entry.event_type = 'sandbox_reset'
         ORDER BY entry.id DESC LIMIT 1) AS reset_id,
       ARRAY(SELECT mapping.guild_id FROM sandbox_guild_mapping AS mapping
              WHERE mapping.sandbox_id = sandbox.id ORDER BY mapping.created_at, mapping.guild_id) AS guild_ids,
       ARRAY(SELECT extract(epoch FROM mapping.created_at)::float8 FROM sandbox_guild_mapping AS mapping
              WHERE mapping.sandbox_id = sandbox.id ORDER BY mapping.created_at, mapping.guild_id) AS bound_at
  FROM sandboxes AS sandbox JOIN sandbox_credentials AS credentials ON credentials.sandbox_id = sandbox.id
 WHERE sandbox.status = 'running' AND sandbox.expires_at > now() AND NOT credentials.is_held

-- find_tenant --
-- $1 the schema's name, which has the sandbox's short id and is unique among those that live
{tenants} AND sandbox.schema_name = $1;

-- load_tenants --
-- Those that are connected. $1 sandbox ids
{tenants} AND sandbox.id = ANY ($1::uuid[]);

-- find_tenant_of_guild --
-- $1 guild id
{tenants} AND sandbox.id = (SELECT sandbox_id FROM sandbox_guild_mapping WHERE guild_id = $1);
