-- list_known --
-- Of these sandboxes, those that this database knows, destroyed ones among them. $1 sandbox ids
SELECT id FROM sandboxes WHERE id = ANY ($1);

-- primary --
-- Where it is, and whether it waits for no standby.
SELECT concat_ws(' port ', host(inet_server_addr()), inet_server_port()) AS server,
       current_setting('synchronous_standby_names') = '' AS is_asynchronous;
