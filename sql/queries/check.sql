-- server --
-- Which it is, and whether this role has what it needs, or more than that.
SELECT current_setting('server_version') AS version,
       current_setting('server_version_num')::int / 10000 AS major,
       host(inet_server_addr()) AS host,
       inet_server_port() AS port,
       current_user::text AS role,
       current_database()::text AS database,
       has_database_privilege(current_database(), 'CREATE') AS may_create,
       (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) AS is_superuser;

-- host --
-- One of several.
SELECT current_setting('server_version') AS version, pg_is_in_recovery() AS is_standby;

-- clock --
SELECT extract(epoch FROM clock_timestamp())::float8;

-- list_other_applications --
-- Whose bots were seen lately; the upkeep belongs to none. $1 application, $2 how lately (interval)
SELECT DISTINCT application_id FROM gateway_processes
 WHERE application_id NOT IN ($1, 0) AND seen_at > now() - $2::interval ORDER BY application_id;

-- list_bound_guilds --
-- Of all sandboxes.
SELECT guild_id FROM sandbox_guild_mapping ORDER BY guild_id;
