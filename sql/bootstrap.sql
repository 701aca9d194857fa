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
RESET ROLE;

SELECT datname AS "sandboxes may connect to this one too: REVOKE CONNECT ON DATABASE … FROM PUBLIC"
  FROM pg_database
 WHERE datallowconn AND datname <> :'database' AND has_database_privilege('sandbox_worker', datname, 'CONNECT')
 ORDER BY datname;
