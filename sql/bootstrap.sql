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
RESET ROLE;

SELECT datname AS "sandboxes may connect to this one too: REVOKE CONNECT ON DATABASE … FROM PUBLIC"
  FROM pg_database
 WHERE datallowconn AND datname <> :'database' AND has_database_privilege('sandbox_worker', datname, 'CONNECT')
 ORDER BY datname;
