"""What a worker tries as the owner of its schemas. `{a}` is its own schema and role, `{b}` another's."""

from __future__ import annotations

REFUSED = {
    # schemas of other names, by every way to one
    "another name": "CREATE SCHEMA another",
    "if it isn't there": "CREATE SCHEMA IF NOT EXISTS pgboss",
    "the own name and more": "CREATE SCHEMA {a}x",
    "a name like another's": "CREATE SCHEMA {b}_more",
    "a name of no sandbox yet": "CREATE SCHEMA sandbox_ffffffff",
    "a name in other letters": 'CREATE SCHEMA "{a}_More"; CREATE SCHEMA "X{a}_"',
    "the bot's next name": "CREATE SCHEMA sandbox_control_2",
    "with elements": "CREATE SCHEMA another CREATE TABLE t () CREATE VIEW v AS SELECT 1",
    "in a block that goes on": "DO $$ BEGIN BEGIN CREATE SCHEMA another; EXCEPTION WHEN unique_violation"
    " THEN END; END $$",
    "in a function": "CREATE FUNCTION make() RETURNS void LANGUAGE plpgsql AS 'BEGIN CREATE SCHEMA another; END';"
    " SELECT make()",
    "in a definer of its own": "CREATE FUNCTION make() RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS"
    " 'BEGIN CREATE SCHEMA another; END'; SELECT make()",
    "as what it is already": "SET ROLE {a}; CREATE SCHEMA another",
    "renamed": "CREATE SCHEMA {a}_x; ALTER SCHEMA {a}_x RENAME TO another",
    "renamed to another's": "CREATE SCHEMA {a}_x; ALTER SCHEMA {a}_x RENAME TO {b}_x",
    "the own one, renamed": "ALTER SCHEMA {a} RENAME TO {a}_x",
    "the own one, dropped": "DROP SCHEMA {a} CASCADE; CREATE SCHEMA {a}",
    "one of the catalogue's": "CREATE SCHEMA pg_mine",
    # owners
    "for another": "CREATE SCHEMA {a}_x AUTHORIZATION {b}",
    "by another's name": "CREATE SCHEMA AUTHORIZATION {b}",
    "for the group": "CREATE SCHEMA {a}_x AUTHORIZATION sandbox_worker",
    "for the bot": "CREATE SCHEMA {a}_x AUTHORIZATION sandbox_bot",
    "given to the group": "CREATE SCHEMA {a}_x; ALTER SCHEMA {a}_x OWNER TO sandbox_worker",
    "given to another": "CREATE SCHEMA {a}_x; ALTER SCHEMA {a}_x OWNER TO {b}",
    "given to the bot": "CREATE SCHEMA {a}_x; ALTER SCHEMA {a}_x OWNER TO sandbox_bot",
    "all given to another": "REASSIGN OWNED BY CURRENT_USER TO {b}",
    "made as the group": "SET ROLE sandbox_worker; CREATE SCHEMA {a}_x",
    "made for a while as the group": "SET ROLE sandbox_worker; CREATE TEMP TABLE t ()",
    "a table given to the group": "CREATE SCHEMA {a}_x CREATE TABLE t (); ALTER TABLE {a}_x.t OWNER TO sandbox_worker",
    "a function given to the group": "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1';"
    " ALTER FUNCTION f OWNER TO sandbox_worker",
    "a type given to the group": "CREATE TYPE t AS (a int); ALTER TYPE t OWNER TO sandbox_worker",
    "the template's given to the bot": "ALTER TABLE communities OWNER TO sandbox_bot",
    # others let in
    "lent to another": "CREATE SCHEMA {a}_x; GRANT USAGE ON SCHEMA {a}_x TO {b}",
    "lent to the group": "CREATE SCHEMA {a}_x; GRANT CREATE ON SCHEMA {a}_x TO sandbox_worker",
    "lent to everybody": "CREATE SCHEMA {a}_x; GRANT ALL ON SCHEMA {a}_x TO PUBLIC",
    "lent from the beginning": "ALTER DEFAULT PRIVILEGES GRANT USAGE ON SCHEMAS TO PUBLIC; CREATE SCHEMA {a}_x",
    "lent by an element": "CREATE SCHEMA {a}_x GRANT USAGE ON SCHEMA {a}_x TO PUBLIC",
    "lent in a block": "CREATE SCHEMA {a}_x; DO $$ BEGIN GRANT USAGE ON SCHEMA {a}_x TO {b}; END $$",
    # what else CREATE on the database gives
    "an extension": "CREATE EXTENSION hstore",
    "an extension of the server's": "CREATE EXTENSION IF NOT EXISTS plpgsql",
    "an extension in its schema": "CREATE SCHEMA {a}_x; CREATE EXTENSION vector SCHEMA {a}_x",
    "a language": "CREATE LANGUAGE plperl",
    "a language by its handler": "CREATE TRUSTED LANGUAGE mine HANDLER plpgsql_call_handler",
    "a publication": "CREATE PUBLICATION p",
    "a publication of its own table": "CREATE PUBLICATION p FOR TABLE profiles",
    "a publication of its own schema": "CREATE PUBLICATION p FOR TABLES IN SCHEMA {a}",
    "a subscription": "CREATE SUBSCRIPTION s CONNECTION 'x' PUBLICATION p WITH (connect = false)",
    "a wrapper": "CREATE FOREIGN DATA WRAPPER w",
    "a server": "CREATE SERVER s FOREIGN DATA WRAPPER w",
    "a user of a server": "CREATE USER MAPPING FOR CURRENT_USER SERVER s",
    "tables of a server": "IMPORT FOREIGN SCHEMA x FROM SERVER s INTO {a}",
    "a method": "CREATE ACCESS METHOD m TYPE INDEX HANDLER bthandler",
    "a transform": "CREATE TRANSFORM FOR int LANGUAGE sql (FROM SQL WITH FUNCTION prsd_lextype(internal))",
    "an event trigger": "CREATE FUNCTION e() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';"
    " CREATE EVENT TRIGGER e ON ddl_command_start EXECUTE FUNCTION e()",
    "a label": "SECURITY LABEL ON TABLE communities IS 'x'",
    "the database's settings": "ALTER DATABASE {database} SET search_path = {a}",
    "the database's comment": "COMMENT ON DATABASE {database} IS 'x'",
    # the guard itself
    "the guard turned off": "ALTER EVENT TRIGGER sandboxes_confined_end DISABLE",
    "the guard dropped": "DROP EVENT TRIGGER sandboxes_confined_end",
    "the guard renamed": "ALTER EVENT TRIGGER sandboxes_confined_end RENAME TO x",
    "the guard's function replaced": "CREATE OR REPLACE FUNCTION schema_guard.confine_sandbox() RETURNS event_trigger"
    " LANGUAGE plpgsql AS 'BEGIN END'",
    "the guard's function dropped": "DROP FUNCTION schema_guard.confine_sandbox() CASCADE",
    "the guard's schema used": "CREATE TABLE schema_guard.t ()",
    "as a replica": "SET session_replication_role = replica; CREATE SCHEMA another",
    "with triggers of events off": "SET event_triggers = off; CREATE SCHEMA another",
    "with functions of its own first": "CREATE FUNCTION starts_with(name, text) RETURNS boolean LANGUAGE sql AS"
    " 'SELECT true'; SET search_path = {a}, pg_catalog; CREATE SCHEMA another",
    "with types of its own first": "CREATE TEMP TABLE pg_namespace (oid oid, nspname name, nspowner oid,"
    " nspacl aclitem[]);"
    " SET search_path = pg_temp, pg_catalog; CREATE SCHEMA another",
}
"""All for lack of a right, but for what some versions do not know at all."""

TEMPORARY = {
    "tables": "CREATE TEMP TABLE t%s (id int)",
    "indexes of a table": "CREATE TEMP TABLE IF NOT EXISTS t (id int); CREATE INDEX i%s ON t (id)",
    "triggers of a table": "CREATE TEMP TABLE IF NOT EXISTS t (id int); CREATE TRIGGER t%s BEFORE INSERT ON t EXECUTE"
    " FUNCTION suppress_redundant_updates_trigger()",
    "functions": "CREATE FUNCTION pg_temp.f%s() RETURNS int LANGUAGE sql AS $f$SELECT 1$f$",
    "views of a view": "CREATE TEMP VIEW v%s AS SELECT 1 AS a",
    "columns with defaults": "CREATE TEMP TABLE IF NOT EXISTS t (); ALTER TABLE t ADD c%s serial",
    "copies": "CREATE TEMP TABLE t%s AS SELECT 1 AS a",
}

PLANTED = {
    # on what the bot has made, and dropped and made again under its name
    "a trigger": "CREATE TRIGGER t BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON communities EXECUTE"
    " FUNCTION sprung()",
    "a trigger on each row": "CREATE TRIGGER r BEFORE INSERT OR UPDATE OR DELETE ON profiles FOR EACH ROW"
    " EXECUTE FUNCTION sprung(); INSERT INTO communities (guild_id, name) VALUES (5, 'x')",
    "a rule": "CREATE RULE r AS ON DELETE TO badges DO ALSO SELECT spring()",
    "a forced policy": "CREATE POLICY p ON communities USING (spring()); ALTER TABLE communities"
    " ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY",
    "an index": "CREATE INDEX ON profiles ((spring())) ; CREATE INDEX ON profiles (id) WHERE spring()",
    "statistics": "CREATE STATISTICS s ON id, (spring()) FROM communities",
    "a default": "ALTER TABLE badges ADD more boolean DEFAULT spring()",
    "a generated column": "ALTER TABLE badges ADD made boolean GENERATED ALWAYS AS (spring()) STORED",
    "a check": "ALTER TABLE profiles ADD CHECK (spring()) NOT VALID",
    "a domain": "CREATE DOMAIN d AS text CHECK (spring()); ALTER TABLE profiles ADD d d",
    "a view in a table's place": "CREATE TABLE a_seeded (LIKE badges); DROP TABLE badges; CREATE VIEW badges AS"
    " SELECT 1 AS id, spring() AS name",
    "a materialized view": "CREATE MATERIALIZED VIEW m AS SELECT 1 AS x, spring() AS y",
    "a table moved away": "ALTER TABLE profiles SET SCHEMA {a}_away",
    "a partition": "CREATE TABLE parts (id int) PARTITION BY RANGE ((CASE WHEN spring() THEN id END));"
    " CREATE TABLE part PARTITION OF parts DEFAULT",
    "a child of the template's": "CREATE TABLE child (CHECK (spring())) INHERITS (communities)",
    # instead of what the bot's functions call
    "an operator": "CREATE FUNCTION eq(name, name) RETURNS boolean LANGUAGE sql AS 'SELECT {a}.spring()';"
    " CREATE OPERATOR = (LEFTARG = name, RIGHTARG = name, FUNCTION = eq)",
    "a cast": "CREATE TYPE c AS (a int); CREATE FUNCTION cast_it(c) RETURNS text LANGUAGE sql AS"
    " 'SELECT {a}.spring()::text'; CREATE CAST (c AS text) WITH FUNCTION cast_it AS IMPLICIT",
    "an aggregate": "CREATE FUNCTION step(bigint, anyelement) RETURNS bigint LANGUAGE sql AS"
    " 'SELECT {a}.spring()::int::bigint'; CREATE AGGREGATE count(anyelement) (SFUNC = step, STYPE = bigint)",
    "functions of the catalogue's names": "CREATE FUNCTION format(text, VARIADIC text[]) RETURNS text LANGUAGE sql AS"
    " 'SELECT {a}.spring()::text'; CREATE FUNCTION set_config(text, text, boolean) RETURNS text LANGUAGE sql AS"
    " 'SELECT {a}.spring()::text'",
    "functions of the bot's names": "CREATE FUNCTION sandbox_schema_name(uuid) RETURNS text LANGUAGE sql AS"
    " 'SELECT {a}.spring()::text'; CREATE FUNCTION apply_sandbox_template(uuid, text) RETURNS void LANGUAGE sql AS"
    " 'SELECT {a}.spring()::text'",
    "a definer": "CREATE FUNCTION pg_total_relation_size(regclass) RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER AS"
    " 'BEGIN PERFORM {a}.spring(); RETURN 0; END'",
    # in its other schemas
    "a trigger elsewhere": "CREATE TABLE {a}_away.t (id int); CREATE TRIGGER t BEFORE INSERT OR DELETE OR TRUNCATE"
    " ON {a}_away.t EXECUTE FUNCTION sprung()",
    "a reference between schemas": "CREATE TABLE {a}_away.r (id bigint REFERENCES communities ON DELETE CASCADE);"
    " CREATE TRIGGER t AFTER DELETE ON {a}_away.r FOR EACH ROW EXECUTE FUNCTION sprung();"
    " INSERT INTO {a}_away.r SELECT id FROM communities",
    "a view over both": "CREATE VIEW {a}_away.v AS SELECT communities.*, spring() AS more FROM communities",
    "a circle over both": "CREATE FUNCTION {a}_away.f() RETURNS bigint LANGUAGE sql BEGIN ATOMIC"
    " SELECT count(*) FROM communities WHERE spring(); END; CREATE VIEW circle AS SELECT {a}_away.f() AS n",
    "a schema's name": 'CREATE SCHEMA "{a}_x""; SELECT {a}.spring(); --";'
    ' CREATE TABLE "{a}_x""; SELECT {a}.spring(); --".t ()',
    "a format in a schema's name": 'CREATE SCHEMA "{a}_%s %I $1 {{}}"; CREATE TABLE "{a}_%s %I $1 {{}}"."%L" ()',
    "the name of one of the bot's tables": "CREATE TABLE {a}_away.sandboxes (id uuid, schema_name text, status text);"
    " CREATE TABLE sandboxes (LIKE {a}_away.sandboxes); CREATE TEMP TABLE sandboxes (LIKE {a}_away.sandboxes)",
    # elsewhere
    "a temporary function": "CREATE FUNCTION pg_temp.now() RETURNS timestamptz LANGUAGE sql AS"
    " 'SELECT CASE WHEN {a}.spring() THEN current_timestamp END'",
    "default rights": "ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO PUBLIC; ALTER DEFAULT PRIVILEGES"
    " GRANT EXECUTE ON"
    " FUNCTIONS TO PUBLIC; ALTER DEFAULT PRIVILEGES IN SCHEMA {a}_away GRANT ALL ON TABLES TO PUBLIC",
    "its own settings": "ALTER ROLE CURRENT_USER SET role = {a}; ALTER ROLE CURRENT_USER SET search_path = {a}_away",
    "comments": "COMMENT ON SCHEMA {a}_away IS 'discord-sandboxes, made 2020-01-01'; COMMENT ON TABLE"
    " communities IS $$'; SELECT"
    " {a}.spring(); --$$",
}

SPRING = """
CREATE SCHEMA {a}_away;
CREATE FUNCTION spring() RETURNS boolean IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN
    IF session_user <> '{a}' THEN PERFORM nextval('{witness}.sprung'); END IF;
    RETURN true;
END $$;
CREATE FUNCTION sprung() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN PERFORM {a}.spring(); RETURN coalesce(NEW, OLD); END $$;
"""
"""Whoever runs it, unless they have logged in as A, leaves a mark that no rollback undoes: the bot does so too after it
has become A's role."""
