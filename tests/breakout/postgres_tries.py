"""What a worker of A tries in PostgreSQL: name and statements. `{b}` is B's schema and role, `{a}` its own."""

from __future__ import annotations

REFUSED = {
    # B's and the bot's data by its qualified name
    "read-seeded-table": "SELECT * FROM {b}.communities",
    "read-own-table-of-b": "SELECT * FROM {b}.own",
    "count": "SELECT count(*) FROM {b}.communities",
    "copy-out": "COPY {b}.communities TO STDOUT",
    "insert": "INSERT INTO {b}.communities (guild_id, name) VALUES (2, 'x')",
    "update": "UPDATE {b}.communities SET name = 'x'",
    "delete": "DELETE FROM {b}.communities",
    "truncate": "TRUNCATE {b}.communities",
    "merge": "MERGE INTO {b}.communities t USING (SELECT 1) s ON true WHEN MATCHED THEN DELETE",
    "lock-table": "BEGIN; LOCK TABLE {b}.communities",
    "alter-table": "ALTER TABLE {b}.own ADD COLUMN x int",
    "drop-table": "DROP TABLE {b}.own",
    "drop-schema": "DROP SCHEMA {b} CASCADE",
    "create-in-b": "CREATE TABLE {b}.planted (id int)",
    "create-function-in-b": "CREATE FUNCTION {b}.planted() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "index-on-b": "CREATE INDEX ON {b}.communities (name)",
    "trigger-on-b": "CREATE TRIGGER t BEFORE INSERT ON {b}.communities FOR EACH ROW"
    " EXECUTE FUNCTION suppress_redundant_updates_trigger()",
    "rule-on-b": "CREATE RULE r AS ON INSERT TO {b}.communities DO INSTEAD NOTHING",
    "policy-on-b": "CREATE POLICY p ON {b}.communities USING (true)",
    "foreign-key-to-b": "CREATE TABLE {a}.fk (id bigint REFERENCES {b}.communities (id))",
    "inherit-from-b": "CREATE TABLE {a}.child () INHERITS ({b}.communities)",
    "like-b": "CREATE TABLE {a}.alike (LIKE {b}.communities)",
    "view-over-b": "CREATE VIEW {a}.v AS SELECT * FROM {b}.communities; SELECT * FROM {a}.v",
    "materialized-view-over-b": "CREATE MATERIALIZED VIEW {a}.m AS SELECT * FROM {b}.communities",
    "sequence-of-b": "SELECT nextval('{b}.communities_id_seq')",
    "read-sequence-of-b": "SELECT last_value FROM {b}.communities_id_seq",
    "analyze-b": "SELECT * FROM {b}.profiles TABLESAMPLE SYSTEM (100)",
    "rename-schema": "ALTER SCHEMA {b} RENAME TO stolen",
    "own-schema": "ALTER SCHEMA {b} OWNER TO {a}",
    "move-into-b": "CREATE TABLE {a}.moved (id int); ALTER TABLE {a}.moved SET SCHEMA {b}",
    "search-path-to-b": "SET search_path = {b}; SELECT * FROM communities LIMIT 1",
    "search-path-to-public": "SET search_path = public; SELECT * FROM sandboxes",
    "search-path-to-control": "SET search_path = sandbox_control; SELECT * FROM sandboxes",
    "function-with-search-path": "CREATE FUNCTION {a}.f() RETURNS bigint LANGUAGE sql SET search_path = {b} AS"
    " 'SELECT count(*) FROM {b}.communities'; SELECT {a}.f()",
    "dynamic-sql": "DO $$ BEGIN EXECUTE 'DELETE FROM {b}.communities'; END $$",
    "query-in-a-function": "SELECT * FROM ts_stat('SELECT to_tsvector(name) FROM {b}.communities')",
    "rewritten-query": "SELECT ts_rewrite('a', 'SELECT name::tsquery, name::tsquery FROM {b}.communities')",
    "cursor-to-xml": "DECLARE c CURSOR FOR SELECT * FROM {b}.communities",
    "prepared-statement": "PREPARE p AS SELECT * FROM {b}.communities; EXECUTE p",
    "explain-analyze": "EXPLAIN ANALYZE SELECT * FROM {b}.communities",
    "size-of-b": "SELECT pg_read_binary_file(pg_relation_filepath('{b}.communities'))",
    "relation-by-security-barrier": "CREATE VIEW {a}.w WITH (security_invoker = false) AS SELECT * FROM {b}.own;"
    " SELECT * FROM {a}.w",
    # other roles
    "set-role-b": "SET ROLE {b}",
    "set-role-bot": "SET ROLE sandbox_bot",
    "set-role-group": "SET ROLE pg_read_all_data",
    "set-session-authorization": "SET SESSION AUTHORIZATION {b}",
    "set-session-authorization-bot": "SET SESSION AUTHORIZATION sandbox_bot",
    "set-config-role": "SELECT set_config('role', '{b}', false)",
    "role-setting-role": "SET LOCAL ROLE sandbox_bot",
    "grant-b-to-self": "GRANT {b} TO {a}",
    "grant-bot-to-self": "GRANT sandbox_bot TO {a}",
    "grant-worker-on": "GRANT sandbox_worker TO {b}",
    "grant-self-admin": "GRANT {a} TO {b} WITH ADMIN OPTION",
    "grant-read-all": "GRANT pg_read_all_data TO {a}",
    "revoke-group-of-b": "REVOKE sandbox_worker FROM {b}",
    "revoke-own-group-of-bot": "REVOKE {a} FROM sandbox_bot",
    "alter-role-b-password": "ALTER ROLE {b} PASSWORD 'x'",
    "alter-role-bot-password": "ALTER ROLE sandbox_bot PASSWORD 'x'",
    "alter-role-b-setting": "ALTER ROLE {b} SET search_path = {a}",
    "alter-role-bot-setting": "ALTER ROLE sandbox_bot SET search_path = {a}",
    "alter-role-all": "ALTER ROLE ALL SET search_path = {a}",
    "alter-database-setting": "ALTER DATABASE {database} SET search_path = {a}",
    "alter-role-b-nologin": "ALTER ROLE {b} NOLOGIN",
    "alter-self-superuser": "ALTER ROLE {a} SUPERUSER",
    "alter-self-createrole": "ALTER ROLE {a} CREATEROLE",
    "alter-self-replication": "ALTER ROLE {a} REPLICATION",
    "alter-self-bypassrls": "ALTER ROLE {a} BYPASSRLS",
    "alter-self-expiry": "ALTER ROLE {a} VALID UNTIL 'infinity'",
    "alter-self-connections": "ALTER ROLE {a} CONNECTION LIMIT -1",
    "rename-self": "ALTER ROLE {a} RENAME TO sandbox_bot2",
    "drop-role-b": "DROP ROLE {b}",
    "drop-owned-b": "DROP OWNED BY {b}",
    "reassign-owned-b": "REASSIGN OWNED BY {b} TO {a}",
    "create-role": "CREATE ROLE another LOGIN",
    "create-user-in-group": "CREATE USER another IN ROLE sandbox_worker",
    "create-database": "CREATE DATABASE another",
    "drop-database": "DROP DATABASE {database}",
    "create-schema": "CREATE SCHEMA another",
    "create-schema-of-b": "CREATE SCHEMA AUTHORIZATION {b}",
    "default-privileges-of-b": "ALTER DEFAULT PRIVILEGES FOR ROLE {b} GRANT SELECT ON TABLES TO {a}",
    "default-privileges-of-bot": "ALTER DEFAULT PRIVILEGES FOR ROLE sandbox_bot GRANT SELECT ON TABLES TO {a}",
    "give-table-to-bot": "CREATE TABLE {a}.gift (id int); ALTER TABLE {a}.gift OWNER TO sandbox_bot",
    "give-function-to-b": "CREATE FUNCTION {a}.gift() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1';"
    " ALTER FUNCTION {a}.gift() OWNER TO {b}",
    "comment-on-role": "COMMENT ON ROLE {b} IS 'x'",
    "comment-on-schema-b": "COMMENT ON SCHEMA {b} IS 'x'",
    "comment-on-own-schema": "COMMENT ON SCHEMA {a} IS NULL",
    "comment-on-database": "COMMENT ON DATABASE {database} IS 'x'",
    # the server's files and programs
    "copy-program": "COPY {a}.own FROM PROGRAM 'id'",
    "copy-to-program": "COPY {a}.own TO PROGRAM 'cat'",
    "copy-to-file": "COPY {a}.own TO '/tmp/breakout'",
    "copy-from-file": "COPY {a}.own FROM '/etc/passwd'",
    "read-file": "SELECT pg_read_file('postgresql.conf')",
    "read-hba": "SELECT * FROM pg_hba_file_rules",
    "list-directory": "SELECT pg_ls_dir('.')",
    "stat-file": "SELECT pg_stat_file('PG_VERSION')",
    "list-logs": "SELECT pg_ls_logdir()",
    "lo-import": "SELECT lo_import('/etc/passwd')",
    "lo-export": "SELECT lo_export(lo_create(0), '/tmp/breakout')",
    "untrusted-c": "CREATE FUNCTION {a}.c() RETURNS int LANGUAGE c AS 'libc', 'getpid'",
    "untrusted-internal": "CREATE FUNCTION {a}.i() RETURNS int LANGUAGE internal AS 'pg_backend_pid'",
    "create-language": "CREATE LANGUAGE plpython3u",
    "load-library": "LOAD 'auto_explain'",
    "extension": "DROP EXTENSION plpgsql CASCADE",
    "tablespace": "CREATE TABLESPACE t LOCATION '/tmp'",
    "foreign-data-wrapper": "CREATE FOREIGN DATA WRAPPER w",
    "subscription": "CREATE SUBSCRIPTION s CONNECTION 'dbname={database}' PUBLICATION p",
    "publication-for-all": "CREATE PUBLICATION p FOR ALL TABLES",
    "publication-of-b": "CREATE PUBLICATION p FOR TABLE {b}.communities",
    "replication-slot": "SELECT pg_create_physical_replication_slot('s')",
    "logical-slot": "SELECT pg_create_logical_replication_slot('s', 'test_decoding')",
    "logical-message": "SELECT pg_replication_origin_create('o')",
    "event-trigger": "CREATE FUNCTION {a}.e() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';"
    " CREATE EVENT TRIGGER e ON ddl_command_end EXECUTE FUNCTION {a}.e()",
    "access-method": "CREATE ACCESS METHOD m TYPE TABLE HANDLER heap_tableam_handler",
    "base-type": "CREATE TYPE {a}.base",
    "operator-class": "CREATE OPERATOR CLASS {a}.oc FOR TYPE int USING btree AS OPERATOR 1 <",
    "cast-on-foreign-types": "CREATE CAST (int AS text) WITH INOUT",
    "text-search-template": "CREATE TEXT SEARCH TEMPLATE {a}.t (LEXIZE = dsimple_lexize)",
    "alter-system": "ALTER SYSTEM SET log_statement = 'all'",
    "superuser-parameter": "SET log_statement = 'all'",
    "session-replication-role": "SET session_replication_role = replica",
    "preload": "SET session_preload_libraries = 'auto_explain'",
    "reload": "SELECT pg_reload_conf()",
    "rotate-log": "SELECT pg_rotate_logfile()",
    "switch-wal": "SELECT pg_switch_wal()",
    "backup": "SELECT pg_backup_start('x')",
    "checkpoint": "CHECKPOINT",
    "read-passwords": "SELECT rolpassword FROM pg_authid",
    "read-shadow": "SELECT passwd FROM pg_shadow",
    "read-statistics": "SELECT * FROM pg_statistic",
    "read-large-object-table": "SELECT * FROM pg_largeobject",
    "write-catalog": "UPDATE pg_class SET relowner = relowner",
    "write-catalog-members": "INSERT INTO pg_auth_members SELECT * FROM pg_auth_members LIMIT 1",
    "fork-of-sessions": "SELECT pg_log_backend_memory_contexts({b_pid})",
    "read-config-secrets": "SHOW data_directory",
    # other sessions
    "terminate-b": "SELECT pg_terminate_backend({b_pid})",
    "cancel-b": "SELECT pg_cancel_backend({b_pid})",
    "terminate-bot": "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'sandbox_bot'",
    "cancel-bot": "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE usename = 'sandbox_bot'",
    "reset-statistics": "SELECT pg_stat_reset()",
    # control tables, views and sequences
    "read-sandboxes": "SELECT * FROM sandbox_control.sandboxes",
    "read-overview": "SELECT * FROM sandbox_control.sandbox_overview",
    "read-credentials": "SELECT * FROM sandbox_control.sandbox_credentials",
    "read-audit": "SELECT * FROM sandbox_control.sandbox_audit_log",
    "read-mapping": "SELECT * FROM sandbox_control.sandbox_guild_mapping",
    "read-notices": "SELECT * FROM sandbox_control.sandbox_notices",
    "read-idempotency-keys": "SELECT * FROM sandbox_control.sandbox_idempotency_keys",
    "read-migrations": "SELECT * FROM sandbox_control.schema_migrations",
    "write-sandboxes": "UPDATE sandbox_control.sandboxes SET expires_at = 'infinity'",
    "write-credentials": "UPDATE sandbox_control.sandbox_credentials SET token_sha256 = repeat('0', 64)",
    "write-mapping": "INSERT INTO sandbox_control.sandbox_guild_mapping VALUES (1, gen_random_uuid(), 1)",
    "erase-audit": "DELETE FROM sandbox_control.sandbox_audit_log",
    "audit-sequence": "SELECT setval('sandbox_control.sandbox_audit_log_id_seq', 1)",
    "lock-migrations": "BEGIN; LOCK TABLE sandbox_control.schema_migrations",
    "create-in-control": "CREATE TABLE sandbox_control.planted (id int)",
    "trigger-on-control": "CREATE TRIGGER t BEFORE INSERT ON sandbox_control.sandboxes FOR EACH ROW"
    " EXECUTE FUNCTION suppress_redundant_updates_trigger()",
    "foreign-key-to-control": "CREATE TABLE {a}.fk2 (id uuid REFERENCES sandbox_control.sandboxes (id))",
    "type-of-control": "CREATE TABLE {a}.s (kind sandbox_control.sandbox_notice_kind)",
    # … by the names that older bots know
    "old-read-sandboxes": "SELECT * FROM public.sandboxes",
    "old-read-overview": "SELECT * FROM public.sandbox_overview",
    "old-read-credentials": "SELECT * FROM public.sandbox_credentials",
    "old-read-audit": "SELECT * FROM public.sandbox_audit_log",
    "old-read-mapping": "SELECT * FROM public.sandbox_guild_mapping",
    "old-read-notices": "SELECT * FROM public.sandbox_notices",
    "old-read-idempotency-keys": "SELECT * FROM public.sandbox_idempotency_keys",
    "old-read-migrations": "SELECT * FROM public.schema_migrations",
    "old-write-sandboxes": "UPDATE public.sandboxes SET expires_at = 'infinity'",
    "old-write-credentials": "UPDATE public.sandbox_credentials SET token_sha256 = repeat('0', 64)",
    "old-write-mapping": "INSERT INTO public.sandbox_guild_mapping VALUES (1, gen_random_uuid(), 1)",
    "old-erase-audit": "DELETE FROM public.sandbox_audit_log",
    "old-audit-sequence": "SELECT setval('public.sandbox_audit_log_id_seq', 1)",
    "old-lock-migrations": "BEGIN; LOCK TABLE public.schema_migrations",
    "create-in-public": "CREATE TABLE public.planted (id int)",
    "old-trigger-on-control": "CREATE TRIGGER t BEFORE INSERT ON public.sandboxes FOR EACH ROW"
    " EXECUTE FUNCTION suppress_redundant_updates_trigger()",
    "old-foreign-key-to-control": "CREATE TABLE {a}.fk2 (id uuid REFERENCES public.sandboxes (id))",
    "old-type-of-control": "CREATE TABLE {a}.s (status public.sandbox_status)",
    # A's schema, which is the bot's
    "rename-own-schema": "ALTER SCHEMA {a} RENAME TO mine",
    "drop-own-schema": "DROP SCHEMA {a} CASCADE",
    "grant-own-schema": "GRANT USAGE ON SCHEMA {a} TO {b}; SELECT 1/(has_schema_privilege('{b}', '{a}', 'USAGE'))::int",
    # sessions and large objects
    "large-object-of-b": "SELECT lo_get({b_lo})",
    "overwrite-large-object-of-b": "SELECT lo_put({b_lo}, 0, 'x')",
    "unlink-large-object-of-b": "SELECT lo_unlink({b_lo})",
    "grant-large-object-of-b": "GRANT SELECT ON LARGE OBJECT {b_lo} TO {a}",
    "cross-database": "SELECT * FROM postgres.public.sandboxes",
}

FUNCTIONS_OF_OURS = """
SELECT format('SELECT %I.%I(%s)', pronamespace::regnamespace, proname,
              (SELECT string_agg(CASE WHEN kind = 'uuid'::regtype THEN quote_literal($1::text) || '::uuid'
                                      ELSE 'NULL::' || format_type(kind, NULL) END, ', ')
                 FROM unnest(proargtypes::oid[]) AS kind)) AS call
  FROM pg_proc
 WHERE pronamespace::regnamespace::text IN ('public', 'sandbox_control') AND prorettype <> 'trigger'::regtype
 ORDER BY pronamespace, proname
"""

SHOW_NOTHING = {
    "query-text-of-others": "SELECT query FROM pg_stat_activity"
    " WHERE usename <> current_user AND query <> '<insufficient privilege>'",
    "client-addresses": "SELECT client_addr FROM pg_stat_activity WHERE usename <> current_user"
    " AND client_addr IS NOT NULL",
    "query-text-by-function": "SELECT query FROM pg_stat_get_activity(NULL)"
    " WHERE pid <> pg_backend_pid() AND query <> '<insufficient privilege>'",
    "column-statistics": "SELECT tablename FROM pg_stats WHERE schemaname <> current_user "
    " AND schemaname !~ '^(pg_catalog|information_schema)$'",
    "information-schema-tables": "SELECT * FROM information_schema.tables"
    " WHERE table_schema NOT IN (current_user, 'pg_catalog', 'information_schema')",
    "information-schema-columns": "SELECT * FROM information_schema.columns WHERE table_schema = '{b}'",
    "information-schema-routines": "SELECT routine_definition FROM information_schema.routines"
    " WHERE routine_schema IN ('{b}', 'public', 'sandbox_control') AND routine_definition IS NOT NULL",
    "uuid-in-names": "SELECT relname FROM pg_class WHERE relname ~ '{b_id}|{b_hex}'",
    "uuid-in-comments": "SELECT description FROM pg_description WHERE description ~ '{b_id}|{b_hex}'"
    " UNION ALL SELECT description FROM pg_shdescription WHERE description ~ '{b_id}|{b_hex}'",
    "uuid-in-applications": "SELECT application_name FROM pg_stat_activity WHERE application_name ~ '{b_id}|{b_hex}'",
    "uuid-in-settings": "SELECT setconfig FROM pg_db_role_setting WHERE setconfig::text ~ '{b_id}|{b_hex}'",
    "uuid-in-functions": "SELECT proname FROM pg_proc WHERE prosrc ~ '{b_id}|{b_hex}'",
    "prepared-statements-of-others": "SELECT * FROM pg_prepared_statements"
    " WHERE statement ~ 'communities' AND statement !~ 'pg_prepared'",
    "locks-on-values": "SELECT * FROM pg_locks WHERE page IS NOT NULL AND pid <> pg_backend_pid()",
    "membership": "SELECT 1 WHERE pg_has_role('{b}', 'MEMBER') OR pg_has_role('sandbox_bot', 'MEMBER')",
    "privileges": "SELECT 1 WHERE has_schema_privilege('{b}', 'USAGE') OR has_schema_privilege('public', 'USAGE')"
    " OR has_schema_privilege('sandbox_control', 'USAGE')",
    "readable-relations": "SELECT oid::regclass FROM pg_class WHERE relkind IN ('r', 'v', 'm', 'S', 'f', 'p')"
    " AND relnamespace::regnamespace::text IN ('{b}', 'public', 'sandbox_control')"
    " AND has_table_privilege(oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER')"
    " AND relnamespace::regnamespace::text !~ '^pg_(toast_)?temp'",
    "executable-functions": "SELECT oid::regprocedure FROM pg_proc"
    " WHERE pronamespace::regnamespace::text IN ('public', 'sandbox_control')"
    " AND has_function_privilege(oid, 'EXECUTE')",
    "writable-schemas": "SELECT nspname FROM pg_namespace WHERE has_schema_privilege(oid, 'CREATE')"
    " AND nspname <> current_user AND nspname !~ '^pg_(toast_)?temp'",
    "drop-if-not-there": "SELECT 1 FROM pg_roles WHERE rolname = current_user AND (rolsuper OR rolcreaterole"
    " OR rolcreatedb OR rolreplication OR rolbypassrls)",
}

OWN_SCHEMA_WORKS = {
    "seeded-tables": "INSERT INTO communities (guild_id, name) VALUES (7, 'x') ON CONFLICT (guild_id) DO UPDATE"
    " SET name = excluded.name RETURNING id; UPDATE communities SET name = 'y' WHERE guild_id = 7;"
    " DELETE FROM communities WHERE guild_id = 7",
    "seeded-joins": "SELECT * FROM communities LEFT JOIN profiles ON community_id = communities.id LEFT JOIN badges"
    " ON profile_id = profiles.id",
    "seeded-tables-are-its-own": "ALTER TABLE profiles ADD theme text DEFAULT 'dark', ALTER bio TYPE varchar(500);"
    " CREATE INDEX profiles_theme ON profiles (theme); COMMENT ON TABLE badges IS 'earned';"
    " CREATE TABLE w0 (id bigint REFERENCES communities); CREATE STATISTICS w0_s ON id, name FROM communities;"
    " SELECT setval(pg_get_serial_sequence('badges', 'id'), 1000); TRUNCATE badges; DROP TABLE w0;"
    " DROP STATISTICS w0_s; ALTER TABLE profiles DROP theme",
    "temporary-tables": "CREATE TEMP TABLE w0 (LIKE communities INCLUDING ALL); INSERT INTO w0 (guild_id,"
    " name) VALUES (1, 'x');"
    " DROP TABLE w0",
    "schemas": "CREATE SCHEMA IF NOT EXISTS {a}; CREATE SCHEMA {a}_more CREATE TABLE t (id bigint REFERENCES"
    " {a}.communities); ALTER SCHEMA {a}_more RENAME TO {a}_most; DROP SCHEMA {a}_most CASCADE",
    "tables": "CREATE TABLE w1 (id int PRIMARY KEY, v text); ALTER TABLE w1 ADD c int; CREATE INDEX ON w1 (v);"
    " TRUNCATE w1; ANALYZE w1; DROP TABLE w1",
    "partitions": "CREATE TABLE w2 (id int) PARTITION BY RANGE (id);"
    " CREATE TABLE w2_1 PARTITION OF w2 FOR VALUES FROM (1) TO (9); INSERT INTO w2 VALUES (1); DROP TABLE w2",
    "types": "CREATE TYPE w3 AS ENUM ('a'); CREATE DOMAIN w4 AS int CHECK (VALUE > 0); CREATE TYPE w5 AS (a int);"
    " DROP TYPE w3; DROP DOMAIN w4; DROP TYPE w5",
    "sequences": "CREATE SEQUENCE w6; SELECT nextval('w6'); DROP SEQUENCE w6",
    "functions": "CREATE FUNCTION w7() RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN 1; END'; SELECT w7();"
    " DROP FUNCTION w7()",
    "triggers": "CREATE TABLE w8 (id int); CREATE FUNCTION w9() RETURNS trigger LANGUAGE plpgsql AS"
    " 'BEGIN RETURN NEW; END'; CREATE TRIGGER t BEFORE INSERT ON w8 FOR EACH ROW EXECUTE FUNCTION w9();"
    " INSERT INTO w8 VALUES (1); DROP TABLE w8; DROP FUNCTION w9()",
    "views": "CREATE VIEW w10 AS SELECT * FROM communities; SELECT * FROM w10; DROP VIEW w10",
    "materialized-views": "CREATE MATERIALIZED VIEW w11 AS SELECT 1; REFRESH MATERIALIZED VIEW w11;"
    " DROP MATERIALIZED VIEW w11",
    "transactions": "BEGIN; SAVEPOINT s; INSERT INTO own VALUES (9); ROLLBACK TO s; COMMIT",
    "row-locks": "BEGIN; SELECT * FROM communities FOR UPDATE SKIP LOCKED; COMMIT",
    "json": "SELECT jsonb_build_object('a', 1) @> '{{}}'",
    "listen-notify": "LISTEN own; NOTIFY own; UNLISTEN own",
    "advisory-locks": "SELECT pg_advisory_lock(7); SELECT pg_advisory_unlock(7)",
}
