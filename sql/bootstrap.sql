-- Once, by a DBA, before the bot's first start; PostgreSQL 15 to 18, as a superuser or as an administrator with
-- CREATEROLE and CREATEDB. Safe to run again. With psql:
--
--   psql -X -d postgres -f sql/bootstrap.sql                            then: \password sandbox_bot
--   psql -X -d postgres -v role=bot -v database=tests -f sql/bootstrap.sql
--
-- \password hashes on this side, so that no password reaches the server's log. A script may set SANDBOX_BOT_PASSWORD
-- in the environment instead, to a password or, better, to a SCRAM-SHA-256 verifier (psql 15 or newer).
--
-- The bot's role is no superuser. It owns its database, makes a role for each sandbox and grants it sandbox_worker,
-- which is what may connect. On PostgreSQL 15 CREATEROLE is nearly a superuser's right: prefer 16 or newer, where it
-- reaches only the roles that the bot has made itself.
--
-- A superuser also installs a guard, an event trigger, and with it lets sandboxes make temporary tables, and schemas:
-- `<own schema>_*`, and nothing else that lies outside of a schema. Where the guard cannot be installed both stay refused.
-- Run the script again on the database of an earlier version to have it there.
--
-- Slots, locks and disk are the whole server's, and one sandbox can use up each. In postgresql.conf:
--   authentication_timeout = 3s        whoever connects and says nothing has a slot for so long; over 10 s `check` warns
--   reserved_connections = 40          from 16 on: for each bot its pool (`postgres.pool_size`) and ten more
--   max_connections                    above that, `isolation.max_connections` for each sandbox; `check` says how many fit
--   temp_file_limit = 1GB              what one query may sort on the disk
--   max_locks_per_transaction = 128    the bot ends who holds over 2,000 locks, or a quarter of all on a small server
--   max_prepared_transactions = 0      the default: the locks of a prepared transaction are no session's that it could end

\set ON_ERROR_STOP on
\if :{?role}
\else
    \set role sandbox_bot
\endif
\if :{?database}
\else
    \set database sandboxes
\endif
\getenv password SANDBOX_BOT_PASSWORD
SELECT current_setting('server_version_num')::int >= 160000 AS is_16,
       (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) AS is_super \gset

SELECT 'CREATE ROLE sandbox_worker NOLOGIN'
 WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'sandbox_worker') \gexec
SELECT format('CREATE ROLE %I LOGIN CREATEROLE', :'role')
 WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = :'role') \gexec
\if :{?password}
    ALTER ROLE :"role" PASSWORD :'password';
\endif
GRANT sandbox_worker TO :"role" WITH ADMIN OPTION;

-- From 16 on the server may keep slots for the bot: `reserved_connections`, see above.
SELECT :'is_16'::boolean AND :'is_super'::boolean AS may_reserve \gset
\if :may_reserve
    GRANT pg_use_reserved_connections TO :"role";
\endif

-- An administrator who is no superuser may give away a database only to a role that they may become.
\if :is_super
\elif :is_16
    GRANT :"role" TO CURRENT_USER WITH SET TRUE, INHERIT TRUE;
\else
    GRANT :"role" TO CURRENT_USER;
\endif

SELECT format('CREATE DATABASE %I OWNER %I', :'database', :'role')
 WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = :'database') \gexec
SELECT format('ALTER DATABASE %I OWNER TO %I', datname, :'role')
  FROM pg_database WHERE datname = :'database' AND datdba <> :'role'::regrole \gexec
REVOKE ALL ON DATABASE :"database" FROM PUBLIC;
GRANT CONNECT ON DATABASE :"database" TO sandbox_worker;
-- The owner's business; what stays open is named below.
SELECT format('REVOKE CONNECT ON DATABASE %I FROM PUBLIC', datname)
  FROM pg_database WHERE datname IN ('postgres', 'template1') AND pg_has_role(datdba, 'USAGE') \gexec

\connect :"database"
SET ROLE :"role";
REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT ALL ON SCHEMA public TO :"role";
-- Of its own tables, what somebody may have taken from it.
SELECT format('GRANT ALL ON ALL TABLES IN SCHEMA sandbox_control TO %I', :'role')
  FROM pg_namespace WHERE nspname = 'sandbox_control' \gexec
RESET ROLE;

-- CREATE on the database is the right to make any schema, and extensions, publications and more. What a sandbox's role
-- does with it is confined here: by the name of whoever has logged in, which nobody can change for themselves; or, when
-- the bot applies a template, by the role that it has become. And what a killed session leaves in its temporary schema is
-- dropped by the server in one transaction, or else is in the way of the next session there for ever; nobody but a
-- superuser can name it. So it stays small.
DO $install$
BEGIN
    CREATE SCHEMA IF NOT EXISTS schema_guard;
    CREATE OR REPLACE FUNCTION schema_guard.confine_sandbox() RETURNS event_trigger
        LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $guard$
    DECLARE
        is_sandbox constant text := '^sandbox_[0-9a-f]{8}$';
        most_temporary constant integer := 500;
        own constant text := CASE WHEN session_user ~ is_sandbox THEN session_user
                                  WHEN current_user ~ is_sandbox THEN current_user END;
        wrong text;
    BEGIN
        IF own IS NULL THEN
            RETURN;
        END IF;
        IF tg_tag !~ ('^(CREATE|ALTER|DROP) (AGGREGATE|CAST|COLLATION|CONVERSION|DOMAIN|FOREIGN TABLE|FUNCTION|INDEX'
                   || '|LARGE OBJECT|MATERIALIZED VIEW|OPERATOR|OPERATOR CLASS|OPERATOR FAMILY|POLICY|PROCEDURE|ROUTINE'
                   || '|RULE|SCHEMA|SEQUENCE|STATISTICS|TABLE|TABLE AS|TEXT SEARCH CONFIGURATION|TEXT SEARCH DICTIONARY'
                   || '|TRIGGER|TYPE|VIEW)$|^(COMMENT|GRANT|REVOKE|REINDEX|SELECT INTO'
                   || '|REFRESH MATERIALIZED VIEW|ALTER DEFAULT PRIVILEGES)$') THEN
            RAISE insufficient_privilege USING MESSAGE = format('%s is not for sandboxes', tg_tag),
                HINT = 'What is the whole database''s is made by its administrator.';
        END IF;
        IF tg_event <> 'ddl_command_end' THEN
            RETURN;
        END IF;
        SELECT object_identity INTO wrong FROM pg_event_trigger_ddl_commands() AS command
         WHERE EXISTS (SELECT FROM pg_shdepend AS owned
                        WHERE owned.dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
                          AND owned.classid = command.classid AND owned.objid = command.objid
                          AND owned.deptype = 'o' AND owned.refobjid <> own::regrole);
        IF FOUND THEN
            RAISE insufficient_privilege USING MESSAGE = format('the owner of %s has to be %I', wrong, own);
        END IF;
        IF pg_my_temp_schema() <> 0 AND most_temporary < (
               WITH RECURSIVE held (classid, objid) AS (
                   SELECT 'pg_namespace'::regclass::oid, pg_my_temp_schema()
                    UNION
                   SELECT below.classid, below.objid FROM held, LATERAL (
                       SELECT part.classid, part.objid FROM pg_depend AS part
                        WHERE part.refclassid = held.classid AND part.refobjid = held.objid OFFSET 0) AS below)
               SELECT count(*) FROM (SELECT FROM held LIMIT most_temporary + 1) AS counted) THEN
            RAISE program_limit_exceeded USING MESSAGE = 'too many temporary tables',
                HINT = format('A session has room for %s temporary things, columns'' defaults and indexes included.',
                              most_temporary);
        END IF;
        IF tg_tag NOT IN ('CREATE SCHEMA', 'ALTER SCHEMA', 'GRANT') THEN
            RETURN;
        END IF;
        SELECT nspname INTO wrong FROM pg_namespace
         WHERE nspowner = own::regrole AND NOT starts_with(nspname, own || '_') AND nspname !~ '^pg_(toast_)?temp_';
        IF FOUND THEN
            RAISE insufficient_privilege USING MESSAGE = format('a sandbox may not have a schema %I', wrong),
                HINT = format('The names of its schemas begin with %s_.', own);
        END IF;
        SELECT nspname INTO wrong FROM pg_namespace
         WHERE nspowner = own::regrole
           AND EXISTS (SELECT FROM aclexplode(nspacl) AS granted WHERE granted.grantee <> nspowner);
        IF FOUND THEN
            RAISE insufficient_privilege USING MESSAGE = format('the schema %I may be granted to nobody else', wrong);
        END IF;
    END $guard$;
    REVOKE ALL ON SCHEMA schema_guard FROM PUBLIC;
    REVOKE ALL ON FUNCTION schema_guard.confine_sandbox() FROM PUBLIC;
    IF NOT EXISTS (SELECT FROM pg_event_trigger WHERE evtname = 'sandboxes_confined_start') THEN
        CREATE EVENT TRIGGER sandboxes_confined_start ON ddl_command_start EXECUTE FUNCTION schema_guard.confine_sandbox();
    END IF;
    IF NOT EXISTS (SELECT FROM pg_event_trigger WHERE evtname = 'sandboxes_confined_end') THEN
        CREATE EVENT TRIGGER sandboxes_confined_end ON ddl_command_end EXECUTE FUNCTION schema_guard.confine_sandbox();
    END IF;
    ALTER EVENT TRIGGER sandboxes_confined_start ENABLE ALWAYS;
    ALTER EVENT TRIGGER sandboxes_confined_end ENABLE ALWAYS;
    EXECUTE format('GRANT CREATE, TEMPORARY ON DATABASE %I TO sandbox_worker', current_database());
EXCEPTION
    WHEN insufficient_privilege THEN
        RAISE NOTICE 'sandboxes may make no schemas nor temporary tables: only a superuser may install the guard';
END $install$;

SELECT datname AS "also open to sandboxes: REVOKE CONNECT ON DATABASE FROM PUBLIC"
  FROM pg_database
 WHERE datallowconn AND datname <> :'database' AND has_database_privilege('sandbox_worker', datname, 'CONNECT')
 ORDER BY datname;
