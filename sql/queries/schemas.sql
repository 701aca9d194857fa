-- create_empty_schema --
-- False if there is one already. $1 sandbox id
SELECT create_empty_sandbox_schema($1);

-- limit_template --
-- For the rest of the transaction: seconds that it may wait for a lock, and that a statement may take. It shares its
-- round trip with a savepoint and so takes no parameters: the bot's own constants are written into it.
SELECT set_config('lock_timeout', '%(lock_s)ss', true), set_config('statement_timeout', '%(statement_s)ss', true)

-- apply_template --
-- The statement before may have set the search_path. $1 sandbox id, $2 a statement
SELECT sandbox_control.apply_sandbox_template($1, $2);

-- create_trial_role --
-- In a transaction that is rolled back. Nothing where sandboxes get no roles. $1 sandbox id
SELECT create_sandbox_role($1, now(), 0) FROM pg_roles AS me
 WHERE me.rolname = current_user AND (me.rolcreaterole OR me.rolsuper) AND to_regrole('sandbox_worker') IS NOT NULL
   AND (me.rolsuper OR EXISTS (SELECT FROM pg_auth_members
                                WHERE roleid = to_regrole('sandbox_worker') AND member = me.oid AND admin_option));

-- drop_schema --
-- $1 sandbox id
SELECT drop_sandbox_schema($1);

-- schema_exists --
-- $1 sandbox id
SELECT sandbox_schema_exists($1);

-- schema_stats --
-- $1 sandbox id
SELECT table_name, row_count, total_bytes FROM get_sandbox_schema_stats($1);

-- list_schemas --
-- What carries our mark.
SELECT nspname AS schema_name FROM pg_namespace
 WHERE nspname ~ '^sandbox_[0-9a-f]{8}$' AND sandbox_schema_mark(nspname) ORDER BY nspname;

-- drop_batch --
-- How much was dropped; 0: the rest can go at once. $1 schema name, $2 how much at most
SELECT thin_sandbox_schema($1, $2);

-- list_orphans --
-- And whether their sandbox, by the 16 characters of its own schema's name, is known to be destroyed. $1 the age under
-- which a schema is spared
SELECT schema_name, sandbox_was_destroyed(left(schema_name, 16), $1) AS was_destroyed
  FROM orphaned_sandbox_schemas($1) AS schema_name;

-- drop_orphan_batch --
-- As drop_batch, of an orphan. $1 schema name, $2 the age under which it is spared, $3 how much at most
SELECT thin_orphaned_sandbox_schema($1, $2, $3);

-- drop_orphan --
-- True if it was an orphan still. $1 schema name, $2 the age under which it is spared
SELECT drop_orphaned_sandbox_schema($1, $2);
