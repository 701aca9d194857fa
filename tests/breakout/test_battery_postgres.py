"""An independent battery: what an attacker tries with one sandbox's login to PostgreSQL, and what README says of it.

What is refused is refused for lack of a right, unless another reason stands beside it. What succeeds stands in README's
"What one sandbox's worker can still do", and is tried here so that the list stays true.
"""

from __future__ import annotations

import asyncpg
import pytest

REFUSED: dict[str, str | tuple[str, str]] = {
    # another's rows, by every way to name them
    "read rows": "TABLE {b}.own",
    "read by a search path": ("SET search_path = {b}; TABLE own", "42P01"),
    "read by a cursor": "BEGIN; DECLARE c CURSOR FOR TABLE {b}.own",
    "read by copying": "COPY {b}.own TO STDOUT",
    "read by copying a query": "COPY (TABLE {b}.own) TO STDOUT",
    "read by preparing": "PREPARE p AS TABLE {b}.own; EXECUTE p",
    "read by explaining": "EXPLAIN ANALYZE TABLE {b}.own",
    "read in a DO block": "DO $$ BEGIN PERFORM FROM {b}.own; END $$",
    "read by a function's body": (
        "CREATE FUNCTION peek() RETURNS text LANGUAGE sql BEGIN ATOMIC SELECT value FROM {b}.own; END"
    ),
    "read by a definer of its own": (
        "CREATE FUNCTION definer() RETURNS text LANGUAGE plpgsql SECURITY DEFINER AS"
        " $$ BEGIN RETURN value FROM {b}.own; END $$; SELECT definer()"
    ),
    "read by a view": "CREATE VIEW over AS TABLE {b}.own",
    "read by a view that asks as its caller": "CREATE VIEW over WITH (security_invoker) AS TABLE {b}.own",
    "read by a materialized view": "CREATE MATERIALIZED VIEW over AS TABLE {b}.own",
    "read by a policy": "CREATE TABLE t (); CREATE POLICY p ON t USING (EXISTS (TABLE {b}.own))",
    "read by its row type": "SELECT NULL::{b}.own",
    "read by a table like it": "CREATE TABLE copy (LIKE {b}.own INCLUDING ALL)",
    "read by inheriting": "CREATE TABLE child () INHERITS ({b}.own)",
    "read by a reference": "CREATE TABLE child (id int REFERENCES {b}.own)",
    "read by query_to_xml's sister": "SELECT ts_stat('SELECT value::tsvector FROM {b}.own')",
    "read by a cursor's name": "SELECT cursor_to_xml('c', 1, true, false, '') FROM {b}.own",
    "read statistics of values": "SELECT stavalues1 FROM pg_statistic",
    "read extended statistics": "SELECT stxdmcv FROM pg_statistic_ext_data",
    "read a large object": ("SELECT lo_get({b_lo})", "42704"),
    "read a sequence": "SELECT nextval('{b}.communities_id_seq')",
    "read a sequence by its number": "SELECT nextval({b_sequence}::oid::regclass)",
    "read the current value by its number": "SELECT last_value FROM {b}.communities_id_seq",
    "read the bot's tables": "TABLE sandbox_control.sandboxes",
    "read the bot's tables by the old name": "TABLE public.sandboxes",
    "read the bot's credentials": "TABLE sandbox_control.sandbox_credentials",
    "read the bot's credentials by the old name": "TABLE public.sandbox_credentials",
    "read the bot's keys": "TABLE sandbox_control.bot_keys",
    "read the bot's keys by the old name": "TABLE public.bot_keys",
    "read the bot's views": "TABLE sandbox_control.valid_bot_keys",
    "read the bot's views by the old name": "TABLE public.valid_bot_keys",
    "read verifiers": "SELECT rolpassword FROM pg_authid",
    "read verifiers by the old view": "SELECT passwd FROM pg_shadow",
    "read the server's login rules": "SELECT * FROM pg_hba_file_rules",
    "read the server's files": "SELECT pg_read_file('postgresql.auto.conf')",
    "read the server's folders": "SELECT pg_ls_dir('.')",
    "read the server's log folder": "SELECT pg_ls_logdir()",
    "read the server's log": "SELECT pg_current_logfile()",
    "read the write-ahead log": "SELECT pg_ls_waldir()",
    "read settings of files": "SELECT * FROM pg_file_settings",
    "read where data lies": "SHOW data_directory",
    "read by importing": "SELECT lo_import('/etc/passwd')",
    "read by copying a file": "CREATE TABLE t (line text); COPY t FROM '/etc/passwd'",
    "run a program": "CREATE TABLE t (line text); COPY t FROM PROGRAM 'id'",
    "read others' contexts of memory": "SELECT * FROM pg_backend_memory_contexts",
    "log others' contexts of memory": "SELECT pg_log_backend_memory_contexts({b_pid})",
    # another's rows and rights, to write
    "write rows": "INSERT INTO {b}.own VALUES (2, 'x')",
    "change rows": "UPDATE {b}.own SET value = 'x'",
    "delete rows": "DELETE FROM {b}.own",
    "merge rows": "MERGE INTO {b}.own USING (VALUES (1)) AS v (id) ON own.id = v.id WHEN MATCHED THEN DELETE",
    "empty a table": "TRUNCATE {b}.own",
    "drop a table": "DROP TABLE {b}.own",
    "drop a schema": "DROP SCHEMA {b} CASCADE",
    "drop what another owns": "DROP OWNED BY {b}",
    "take over what another owns": "REASSIGN OWNED BY {b} TO CURRENT_USER",
    "make something there": "CREATE TABLE {b}.mine ()",
    "move something there": "CREATE TABLE mine (); ALTER TABLE mine SET SCHEMA {b}",
    "give something to another": "CREATE TABLE mine (); ALTER TABLE mine OWNER TO {b}",
    "give something to the bot": "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'; "
    "ALTER FUNCTION f OWNER TO sandbox_bot",
    "make something in public": "CREATE TABLE public.mine ()",
    "make something in the bot's schema": "CREATE TABLE sandbox_control.mine ()",
    "make something in the catalogue": "CREATE TABLE pg_catalog.mine ()",
    "make a schema": "CREATE SCHEMA mine",
    "rename its schema": "ALTER SCHEMA {a} RENAME TO other",
    "drop its schema": "DROP SCHEMA {a} CASCADE",
    "grant its schema": "DO $$ BEGIN GRANT USAGE ON SCHEMA {a} TO {b};"
    " IF NOT has_schema_privilege('{b}', '{a}', 'USAGE') THEN RAISE insufficient_privilege; END IF; END $$",
    "mark its schema": "COMMENT ON SCHEMA {a} IS 'discord-sandboxes'",
    # becoming somebody
    "become another": "SET ROLE {b}",
    "become the bot": "SET ROLE sandbox_bot",
    "become a superuser": "SET ROLE {superuser}",
    "begin as another": "SET SESSION AUTHORIZATION {b}",
    "join another": "GRANT {b} TO CURRENT_USER",
    "join the bot": "GRANT sandbox_bot TO CURRENT_USER",
    "join who reads files": "GRANT pg_read_server_files TO CURRENT_USER",
    "join who reads all": "GRANT pg_read_all_data TO CURRENT_USER",
    "let others into the group": "GRANT sandbox_worker TO {b}",
    "throw another out of the group": "REVOKE sandbox_worker FROM {b}",
    "make a role": "CREATE ROLE mine",
    "drop a role": "DROP ROLE {b}",
    "rename itself": ("ALTER ROLE {a} RENAME TO mine", "0A000 42501"),
    "live for ever": "ALTER ROLE CURRENT_USER VALID UNTIL 'infinity'",
    "have more connections": "ALTER ROLE CURRENT_USER CONNECTION LIMIT -1",
    "have reserved connections": "GRANT pg_use_reserved_connections TO CURRENT_USER",
    "replicate": "ALTER ROLE CURRENT_USER REPLICATION",
    "pass policies by": "ALTER ROLE CURRENT_USER BYPASSRLS",
    "make roles": "ALTER ROLE CURRENT_USER CREATEROLE",
    "change another's password": "ALTER ROLE {b} PASSWORD 'x'",
    "change the bot's password": "ALTER ROLE sandbox_bot PASSWORD 'x'",
    "change another's settings": "ALTER ROLE {b} SET search_path = {a}",
    "change everybody's settings": "ALTER ROLE ALL SET search_path = {a}",
    "change its database's settings": "ALTER DATABASE {database} SET search_path = {a}",
    "change the server's settings": "ALTER SYSTEM SET fsync = off",
    "read the settings anew": "SELECT pg_reload_conf()",
    "take the mark off its role": "COMMENT ON ROLE {a} IS NULL",
    "change another's default rights": "ALTER DEFAULT PRIVILEGES FOR ROLE {b} GRANT ALL ON TABLES TO {a}",
    "change the bot's default rights": "ALTER DEFAULT PRIVILEGES FOR ROLE sandbox_bot GRANT ALL ON TABLES TO {a}",
    # the whole server
    "an extension": ("CREATE EXTENSION postgres_fdw", "0A000 42501"),
    "a trusted language": ("CREATE EXTENSION plperl", "0A000 42501"),
    "an untrusted function": "CREATE FUNCTION f() RETURNS int LANGUAGE c AS 'libc', 'system'",
    "an internal function": "CREATE FUNCTION f(oid) RETURNS void LANGUAGE internal AS 'pg_terminate_backend'",
    "a cast without a function": "CREATE DOMAIN d AS text; CREATE CAST (text AS int) WITHOUT FUNCTION",
    "an operator class": "CREATE OPERATOR CLASS c FOR TYPE int USING btree AS STORAGE int",
    "a base type": "CREATE TYPE base; CREATE TYPE base (INPUT = int4in, OUTPUT = int4out)",
    "an event trigger": "CREATE EVENT TRIGGER e ON ddl_command_start EXECUTE FUNCTION f()",
    "an access method": "CREATE ACCESS METHOD m TYPE INDEX HANDLER bthandler",
    "a foreign server": "CREATE FOREIGN DATA WRAPPER w",
    "a publication": "CREATE PUBLICATION p",
    "a subscription": "CREATE SUBSCRIPTION s CONNECTION 'x' PUBLICATION p WITH (connect = false)",
    "a tablespace": "CREATE TABLESPACE t LOCATION '/tmp'",
    "a database": "CREATE DATABASE d",
    "a security label": ("SECURITY LABEL ON ROLE {b} IS 'x'", "22023"),
    "a checkpoint": "CHECKPOINT",
    "another segment of the log": "SELECT pg_switch_wal()",
    "a point to restore": "SELECT pg_create_restore_point('x')",
    "a backup": "SELECT pg_backup_start('x')",
    "a replication slot": "SELECT pg_create_physical_replication_slot('x')",
    "a logical slot": "SELECT pg_create_logical_replication_slot('x', 'pgoutput')",
    "an origin": "SELECT pg_replication_origin_create('x')",
    "promote": "SELECT pg_promote()",
    "forget statistics": "SELECT pg_stat_reset()",
    "end another's session": "SELECT pg_terminate_backend({b_pid})",
    "cancel another's query": "SELECT pg_cancel_backend({b_pid})",
    "end all others' sessions": "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename <> current_user",
    "lock the catalogue": "BEGIN; LOCK TABLE pg_class IN ACCESS EXCLUSIVE MODE",
    "lock roles": "BEGIN; LOCK TABLE pg_authid",
    "lock another's table": "BEGIN; LOCK TABLE {b}.own",
    "lock the bot's table": "BEGIN; LOCK TABLE sandbox_control.sandboxes",
    "lock the bot's table by the old name": "BEGIN; LOCK TABLE public.sandboxes",
    "reindex the catalogue": "REINDEX SYSTEM",
    "write the catalogue": "UPDATE pg_class SET relowner = relowner",
    "write roles": "UPDATE pg_authid SET rolsuper = true",
    "write settings by their view": ("UPDATE pg_settings SET setting = 'off' WHERE name = 'fsync'", "55P02"),
    "load a library": "LOAD '$libdir/pgoutput'",
    "preload a library": "SET session_preload_libraries = 'x'",
    "write the server's log settings": "SET log_statement = 'all'",
    "let large objects be everybody's": "SET lo_compat_privileges = on",
    "take part in replication": "SET session_replication_role = replica",
    "allow catalogue changes": "SET allow_system_table_mods = on",
    "prepare a transaction": ("BEGIN; PREPARE TRANSACTION 'x'", "55000"),
    "export to a file": "SELECT lo_export(0, '/tmp/x')",
    "repeat a bot's function": "SELECT sandbox_control.shut_out_sandbox_role('{b_id}')",
    "repeat a bot's function by the old name": "SELECT public.shut_out_sandbox_role('{b_id}')",
}


@pytest.fixture
async def tried(world):
    """A session of A's that is rolled back, and what a try may name."""
    connection = await asyncpg.connect(world.a.urls["SANDBOX_DATABASE_URL"])
    sequence = await world.superuser.fetchval(
        "SELECT to_regclass($1)::oid", f"{world.b.sandbox.schema_name}.communities_id_seq"
    )
    superuser = await world.superuser.fetchval("SELECT current_user")
    yield connection, world.names | {"b_sequence": sequence, "b_lo": 4_000_000_000, "superuser": superuser}
    connection.terminate()


@pytest.mark.parametrize("name", REFUSED)
async def test_postgres_refuses(world, tried, name):
    connection, known = tried
    tried_so = REFUSED[name]
    statement, codes = tried_so if isinstance(tried_so, tuple) else (tried_so, "42501")
    with pytest.raises(asyncpg.PostgresError) as refusal:
        await connection.execute(statement.format(**known))
    assert refusal.value.sqlstate in codes.split(), str(refusal.value)
    assert await world.b.pg.fetchval("SELECT value FROM own") == "secret"
