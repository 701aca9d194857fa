"""What an attacker leaves in its own schema for whoever comes by with more rights: nobody runs it.

Everything is planted in one sandbox, which is then asked for its state, extended, rotated, reset, planted again and
destroyed, in batches that are small enough for every way of dropping. Each plant has a sequence in an accomplice's
schema, which is drawn from if it is run by anybody but its owner, also after a rollback.
"""

from __future__ import annotations

from datetime import timedelta

import asyncpg
import pytest

from bot import constants
from tests.breakout.conftest import ADA, BOB

SPRING = """
CREATE FUNCTION spring(plant text) RETURNS boolean IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN
    BEGIN EXECUTE 'RESET ROLE'; EXCEPTION WHEN OTHERS THEN NULL; END;
    IF current_user <> '{me}' THEN PERFORM nextval('{accomplice}.' || plant); END IF;
    RETURN true;
END $$;
CREATE FUNCTION on_change() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    PERFORM {me}.spring(TG_ARGV[0]); RETURN coalesce(NEW, OLD);
END $$
"""

PLANTS = {
    "trigger": "CREATE TABLE {n} (id int); INSERT INTO {n} VALUES (1); CREATE TRIGGER t BEFORE"
    " INSERT OR UPDATE OR DELETE"
    " ON {n} FOR EACH ROW EXECUTE FUNCTION on_change('{n}')",
    "truncation": "CREATE TABLE {n} (id int); CREATE TRIGGER t BEFORE TRUNCATE ON {n} EXECUTE"
    " FUNCTION on_change('{n}')",
    "deferred": "CREATE TABLE {n} (id int); INSERT INTO {n} VALUES (1); CREATE CONSTRAINT TRIGGER t"
    " AFTER DELETE ON {n}"
    " DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION on_change('{n}')",
    "rule": "CREATE TABLE {n} (id int); CREATE RULE r AS ON DELETE TO {n} DO ALSO SELECT spring('{n}')",
    "policy": "CREATE TABLE {n} (id int); INSERT INTO {n} VALUES (1); CREATE POLICY p ON {n} USING"
    " ({me}.spring('{n}'));"
    " ALTER TABLE {n} ENABLE ROW LEVEL SECURITY; ALTER TABLE {n} FORCE ROW LEVEL SECURITY",
    "index_expression": "CREATE TABLE {n} (id int); INSERT INTO {n} VALUES (1); CREATE INDEX ON {n} ((spring('{n}')))",
    "index_predicate": "CREATE TABLE {n} (id int); INSERT INTO {n} VALUES (1);"
    " CREATE INDEX ON {n} (id) WHERE {me}.spring('{n}')",
    "statistics": "CREATE TABLE {n} (id int); INSERT INTO {n} VALUES (1);"
    " CREATE STATISTICS s_{n} ON ({me}.spring('{n}')), id FROM {n}",
    "check": "CREATE TABLE {n} (id int); ALTER TABLE {n} ADD CHECK ({me}.spring('{n}')) NOT VALID",
    "default": "CREATE TABLE {n} (id int, b boolean DEFAULT {me}.spring('{n}'))",
    "generated": "CREATE TABLE {n} (id int, b boolean GENERATED ALWAYS AS ({me}.spring('{n}')) STORED)",
    "domain": "CREATE DOMAIN d_{n} AS text DEFAULT {me}.spring('{n}')::text CHECK ({me}.spring('{n}'));"
    " CREATE TABLE {n} (d d_{n})",
    "domain_in_a_view": "CREATE DOMAIN d_{n} AS text CHECK ({me}.spring('{n}'));"
    " CREATE VIEW {n} AS SELECT NULL::d_{n} AS d FROM communities",
    "domain_in_a_function": "CREATE DOMAIN d_{n} AS text CHECK ({me}.spring('{n}')); CREATE"
    " FUNCTION {n}(a d_{n} DEFAULT"
    " {me}.spring('{n}')::text) RETURNS bigint LANGUAGE sql BEGIN ATOMIC SELECT count(*) FROM communities; END",
    "view": "CREATE VIEW {n} AS SELECT {me}.spring('{n}') AS more, * FROM communities",
    "invoker_view": "CREATE VIEW {n} WITH (security_invoker) AS SELECT {me}.spring('{n}') AS more",
    "materialized": "CREATE MATERIALIZED VIEW {n} AS SELECT {me}.spring('{n}') AS more",
    "partition": "CREATE TABLE {n} (id int) PARTITION BY RANGE (((id > 0 AND"
    " {me}.spring('{n}'))::int)); CREATE TABLE p_{n} PARTITION OF"
    " {n} DEFAULT; INSERT INTO {n} VALUES (1)",
    "inheritance": "CREATE TABLE {n} (id int CHECK ({me}.spring('{n}'))); CREATE TABLE c_{n} () INHERITS ({n})",
    "reference": "CREATE TABLE {n} (id int PRIMARY KEY); CREATE TABLE r_{n} (id int REFERENCES {n}"
    " ON DELETE CASCADE);"
    " CREATE TRIGGER t BEFORE DELETE ON r_{n} FOR EACH ROW EXECUTE FUNCTION on_change('{n}');"
    " INSERT INTO {n} VALUES (1); INSERT INTO r_{n} VALUES (1)",
    "reference_to_the_template": "CREATE TABLE {n} (id int); CREATE TRIGGER t AFTER INSERT OR DELETE ON {n}"
    " EXECUTE FUNCTION on_change('{n}'); CREATE RULE r AS ON INSERT TO {n} DO ALSO SELECT spring('{n}')",
    "operator": "CREATE FUNCTION o_{n}(name, name) RETURNS boolean LANGUAGE sql AS $$ SELECT {me}.spring('{n}') $$;"
    " CREATE OPERATOR = (LEFTARG = name, RIGHTARG = name, FUNCTION = o_{n})",
    "built_in_quoting": "CREATE FUNCTION quote_ident(text) RETURNS text LANGUAGE sql AS"
    " $$ SELECT {me}.spring('{n}')::text $$",
    "built_in_format": "CREATE FUNCTION format(text, VARIADIC text[]) RETURNS text LANGUAGE sql AS"
    " $$ SELECT {me}.spring('{n}')::text $$",
    "built_in_size": "CREATE FUNCTION pg_total_relation_size(oid) RETURNS bigint LANGUAGE sql AS"
    " $$ SELECT {me}.spring('{n}')::int::bigint $$",
    "built_in_now": "CREATE FUNCTION now() RETURNS timestamptz LANGUAGE sql AS"
    " $$ SELECT CASE WHEN {me}.spring('{n}') THEN current_timestamp END $$",
    "built_in_type": "CREATE TYPE {me}.jsonb AS ENUM ('{{}}'); CREATE FUNCTION i_{n}({me}.jsonb)"
    " RETURNS text LANGUAGE sql AS"
    " $$ SELECT {me}.spring('{n}')::text $$; CREATE CAST ({me}.jsonb AS text) WITH FUNCTION i_{n} AS IMPLICIT",
    "aggregate": "CREATE FUNCTION s_{n}(bigint, int) RETURNS bigint LANGUAGE sql AS"
    " $$ SELECT {me}.spring('{n}')::int::bigint $$; CREATE AGGREGATE sum(int) (SFUNC = s_{n}, STYPE = bigint)",
    "range": "CREATE FUNCTION d_{n}(float8, float8) RETURNS float8 LANGUAGE sql IMMUTABLE AS"
    " $$ SELECT {me}.spring('{n}')::int::float8 $$; CREATE TYPE {n} AS RANGE (SUBTYPE = float8,"
    " SUBTYPE_DIFF = d_{n});"
    " CREATE TABLE t_{n} (r {n})",
    "name_of_a_table": "CREATE TABLE {quoted} ()",
    "name_of_a_column": "CREATE TABLE {n} ({quoted} int DEFAULT 1, CHECK ({quoted} > 0))",
    "name_of_a_function": "CREATE FUNCTION {quoted}({quoted} int DEFAULT 1) RETURNS bigint LANGUAGE sql"
    " BEGIN ATOMIC SELECT count(*) FROM communities; END",
    "name_of_a_view": "CREATE VIEW {quoted} AS SELECT id AS {quoted} FROM communities",
    "name_of_a_type": "CREATE TYPE {quoted} AS ENUM ({literal}); CREATE DOMAIN d{n} AS text"
    " CONSTRAINT {quoted} CHECK (true)",
    "name_of_a_rule": "CREATE TABLE {n} (); CREATE RULE {quoted} AS ON INSERT TO {n} DO NOTHING",
    "name_of_a_trigger": "CREATE TABLE {n} (); CREATE TRIGGER {quoted} AFTER INSERT ON {n} EXECUTE"
    " FUNCTION on_change('{n}')",
    "name_of_a_policy": "CREATE TABLE {n} (); CREATE POLICY {quoted} ON {n}",
    "name_of_a_constraint": "CREATE TABLE {n} (id int, CONSTRAINT {quoted} UNIQUE (id))",
    "name_of_an_index": "CREATE TABLE {n} (id int); CREATE INDEX {quoted} ON {n} (id)",
    "name_of_an_operator": "CREATE FUNCTION o_{n}(int, text) RETURNS int LANGUAGE sql AS 'SELECT 1';"
    " CREATE OPERATOR <|%#> (LEFTARG = int, RIGHTARG = text, FUNCTION = o_{n})",
    "name_of_a_search_dictionary": "CREATE TEXT SEARCH DICTIONARY {quoted} (TEMPLATE = simple);"
    " CREATE TEXT SEARCH CONFIGURATION {quoted} (COPY = simple)",
    "name_of_a_collation": "CREATE COLLATION {quoted} (LOCALE = 'C'); CREATE VIEW v_{n} AS"
    " SELECT name COLLATE {quoted} AS name FROM communities",
    "comment": "CREATE TABLE {n} (); COMMENT ON TABLE {n} IS {literal}",
    "default_privileges": "ALTER DEFAULT PRIVILEGES GRANT EXECUTE ON FUNCTIONS TO PUBLIC;"
    " ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO PUBLIC",
    "own_settings": "ALTER ROLE CURRENT_USER SET search_path = {me}, pg_catalog;"
    " ALTER ROLE CURRENT_USER SET default_transaction_read_only = on",
    "large_object": "SELECT lo_from_bytea(0, {literal}::bytea)",
}
BATCH = 7
CONTROL = "control"
"""What somebody did run."""


@pytest.fixture(scope="module")
async def sprung(world):
    """Which plants were run by somebody else."""
    monkeypatch = pytest.MonkeyPatch()
    monkeypatch.setattr(constants, "SCHEMA_DROP_BATCH", BATCH)
    attacker, accomplice = await world.add(), await world.add(BOB)
    for plant in (*PLANTS, CONTROL):
        await accomplice.pg.execute(f"CREATE SEQUENCE x_{plant}; GRANT ALL ON SEQUENCE x_{plant} TO PUBLIC")
    manager, sandbox = world.manager, attacker.sandbox
    await plant_all(attacker.pg, sandbox.schema_name, accomplice.sandbox.schema_name)
    await manager.get_health(sandbox.id)
    await manager.schemas.get_schema_stats(sandbox.id)
    await manager.extend_ttl(ADA, sandbox.id, timedelta(hours=1))
    await manager.reset(ADA, sandbox.id)
    details = await manager.issue_credentials(ADA, sandbox.id, rotate=True)
    connection = await asyncpg.connect(details.environment["SANDBOX_DATABASE_URL"])
    await plant_all(connection, sandbox.schema_name, accomplice.sandbox.schema_name)
    await connection.close()
    await world.superuser.execute(f"SELECT {sandbox.schema_name}.spring('x_{CONTROL}')")
    await manager.destroy(ADA, sandbox.id)
    schema = accomplice.sandbox.schema_name
    found = {
        plant
        for plant in (*PLANTS, CONTROL)
        if await world.superuser.fetchval(f"SELECT is_called FROM {schema}.x_{plant}")
    }
    left = await world.superuser.fetchval("SELECT to_regrole($1)", sandbox.schema_name)
    await attacker.close()
    await accomplice.close()
    monkeypatch.undo()
    assert left is None
    return found


async def plant_all(connection, me, accomplice):
    await connection.execute("SET default_transaction_read_only = off")
    await connection.execute(SPRING.format(me=me, accomplice=accomplice))
    for plant, statement in PLANTS.items():
        injection = f"x'); SELECT {me}.spring('x_{plant}'); --"[:60]
        known = {
            "n": f"x_{plant}",
            "me": me,
            "quoted": '"' + injection.replace('"', '""') + '"',
            "literal": "'" + injection.replace("'", "''") + "'",
        }
        try:
            await connection.execute(statement.format(**known))
        except asyncpg.PostgresError as error:
            error.add_note(f"while planting {plant}")
            raise


@pytest.mark.parametrize("plant", PLANTS)
async def test_nobody_else_runs_what_is_planted_as(sprung, plant):
    assert sprung == {CONTROL} or plant not in sprung
    assert CONTROL in sprung
