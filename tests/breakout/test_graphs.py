"""Whatever a worker makes depend on whatever, its sandbox is dropped, in batches that any server has locks for."""

from __future__ import annotations

from itertools import pairwise

import asyncpg
import pytest
from asyncpg.exceptions import OutOfMemoryError as OutOfLocks

from tests.breakout.conftest import ADA

EACH = "DO $$ BEGIN FOR i IN 1..{many} LOOP EXECUTE format($f${command}$f$, i, i - 1, i % {many} + 1);"
EACH += " IF i % 100 = 0 THEN COMMIT; END IF; END LOOP; END $$"

pytestmark = pytest.mark.long


MANY = 2200
"""More than the server has locks, where each object needs one."""


def each(command, many=1000):
    """The command for all of 1 to `many`: that, the one before (%2$s), and the next in the circle (%3$s)."""
    return EACH.format(command=command, many=many)


GRAPHS = {
    "functions-of-an-old-domain": [
        "CREATE DOMAIN wanted AS int",
        each("CREATE DOMAIN later_%s AS int", 400),
        each("CREATE FUNCTION of_%s (wanted) RETURNS int LANGUAGE sql AS 'SELECT 1'", MANY),
    ],
    "views-of-views": ["CREATE VIEW v_0 AS SELECT 1 AS a", each("CREATE VIEW v_%s AS SELECT * FROM v_%s")],
    "views-in-a-circle": [
        each("CREATE VIEW v_%s AS SELECT 1 AS a, 'x'::text COLLATE \"C\" AS b"),
        each("CREATE OR REPLACE VIEW v_%s AS SELECT a, b FROM v_%3$s"),
    ],
    "functions-in-a-circle": [
        each("CREATE FUNCTION f_%s (a int, OUT b int, INOUT c text) LANGUAGE sql AS 'SELECT 1, $2'", MANY),
        each(
            "CREATE OR REPLACE FUNCTION f_%s (a int, OUT b int, INOUT c text)"
            " BEGIN ATOMIC SELECT (f_%3$s(1, '')).b, ''::text; END",
            MANY,
        ),
    ],
    "defaults-in-a-circle": [
        each("CREATE FUNCTION f_%s (a int DEFAULT 1) RETURNS int LANGUAGE sql AS 'SELECT 1'", MANY),
        each("CREATE OR REPLACE FUNCTION f_%s (a int DEFAULT f_%3$s()) RETURNS int LANGUAGE sql AS 'SELECT 1'", MANY),
    ],
    "domains-in-a-circle": [
        each("CREATE DOMAIN d_%s AS int"),
        each(
            "CREATE FUNCTION f_%s (a d_%s DEFAULT NULL) RETURNS int LANGUAGE sql AS 'SELECT 1'".replace(
                "d_%s", "d_%1$s"
            )
        ),
        each("ALTER DOMAIN d_%s SET DEFAULT f_%3$s()"),
    ],
    "checks-of-one-domain": [
        "CREATE DOMAIN d AS int",
        each("ALTER DOMAIN d ADD CONSTRAINT c_%s CHECK (VALUE > 0) NOT VALID", MANY),
    ],
    "parts-of-one-table": [
        "CREATE TABLE t (a int, b int)",
        "CREATE FUNCTION fire () RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
        each("CREATE TRIGGER t_%s BEFORE INSERT ON t EXECUTE FUNCTION fire()", 600),
        each("CREATE POLICY p_%s ON t USING (a > 0)", 600),
        each("CREATE RULE r_%s AS ON INSERT TO t DO ALSO NOTHING", 300),
        each("CREATE STATISTICS s_%s ON a, b FROM t", 1000),
    ],
    "heirs": [
        "CREATE TABLE t (a int CHECK (a > 0), b int NOT NULL)",
        each("CREATE TABLE t_%s () INHERITS (t)", 800),
        "CREATE VIEW all_of_them AS SELECT * FROM t",
    ],
    "partitions": [
        "CREATE TABLE t (a int PRIMARY KEY) PARTITION BY RANGE (a)",
        each(
            "CREATE TABLE t_%s PARTITION OF t FOR VALUES FROM (%1$s) TO (%1$s + 1)".replace("(%1$s + 1)", "(%1$s.5)"),
            800,
        ),
    ],
    "references-to-one-table": [
        "CREATE TABLE t (a int PRIMARY KEY)",
        each("CREATE TABLE t_%s (a int REFERENCES t)", 500),
    ],
    "columns-of-one-type": [
        "CREATE DOMAIN d AS int; CREATE FUNCTION one (d) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT 1'",
        each("CREATE TABLE t_%s (a d, b int GENERATED ALWAYS AS (one(a)) STORED, c int DEFAULT one(1::d))", 600),
    ],
    "casts-and-operators": [
        "CREATE TYPE t AS (a int)",
        each("CREATE TYPE t_%s AS (a int)"),
        each("CREATE FUNCTION f_%s (t) RETURNS t_%1$s LANGUAGE sql AS 'SELECT ROW(1)'"),
        each("CREATE CAST (t AS t_%s) WITH FUNCTION f_%1$s (t)"),
        each("CREATE OPERATOR @@@ (LEFTARG = t, RIGHTARG = t_%s, FUNCTION = g_%1$s)").replace(
            "EXECUTE format",
            "EXECUTE format('CREATE FUNCTION g_%s (t, t_%1$s) RETURNS int LANGUAGE sql AS ''SELECT 1''', i);"
            " EXECUTE format",
            1,
        ),
    ],
    "comments-and-large-objects": [
        each("CREATE SEQUENCE s_%s", MANY),
        each("COMMENT ON SEQUENCE s_%s IS 'x'"),
        "SELECT lo_create(0) FROM generate_series(1, 400)",
    ],
}


@pytest.mark.parametrize("servers", ["by-hand"], indirect=True, scope="package")
@pytest.mark.parametrize("name", GRAPHS)
async def test_a_sandbox_is_dropped_whatever_depends_on_whatever(world, name):
    """The server has some six hundred locks."""
    worker = await world.add()
    await worker.pg.execute("SET statement_timeout = 0")
    for command in GRAPHS[name]:
        await worker.pg.execute(command)
    with pytest.raises(OutOfLocks):
        await world.superuser.execute(f"DROP SCHEMA {worker.sandbox.schema_name} CASCADE")
    await world.manager.destroy(ADA, worker.sandbox.id)
    assert await world.superuser.fetchval("SELECT to_regnamespace($1)", worker.sandbox.schema_name) is None
    assert await world.superuser.fetchval("SELECT to_regrole($1)", worker.sandbox.schema_name) is None
    await worker.close()


@pytest.mark.parametrize("servers", ["by-hand"], indirect=True, scope="package")
async def test_an_extension_in_a_sandboxs_schema_goes_with_it_and_what_depends_on_it(world):
    """Only the server's administrator can have made it there."""
    worker, schema = await world.add(), "SELECT to_regnamespace($1)"
    await world.superuser.execute(f"CREATE EXTENSION vector SCHEMA {worker.sandbox.schema_name}")
    await worker.pg.execute("SET statement_timeout = 0")
    await worker.pg.execute(each("CREATE FUNCTION of_%s (vector) RETURNS int LANGUAGE sql AS 'SELECT 1'", MANY))
    with pytest.raises(OutOfLocks):
        await world.superuser.execute(f"DROP SCHEMA {worker.sandbox.schema_name} CASCADE")
    await world.manager.destroy(ADA, worker.sandbox.id)
    assert await world.superuser.fetchval(schema, worker.sandbox.schema_name) is None
    await worker.close()


NO_EXTENSION_OF_ITS_OWN = [
    "CREATE EXTENSION vector",
    "CREATE EXTENSION pg_trgm",
    "ALTER EXTENSION plpgsql ADD TABLE communities",
    "CREATE FOREIGN DATA WRAPPER own",
    "CREATE LANGUAGE own HANDLER plpgsql_call_handler",
    "CREATE EVENT TRIGGER own ON ddl_command_start EXECUTE FUNCTION fire()",
    "CREATE PUBLICATION own FOR ALL TABLES",
    "CREATE SUBSCRIPTION own CONNECTION '' PUBLICATION own",
    "CREATE ACCESS METHOD own TYPE INDEX HANDLER bthandler",
]


@pytest.mark.parametrize("command", NO_EXTENSION_OF_ITS_OWN)
async def test_a_worker_makes_nothing_that_is_outside_its_schema(world, command):
    with pytest.raises((asyncpg.InsufficientPrivilegeError, asyncpg.FeatureNotSupportedError)):
        await world.a.pg.execute(command)


@pytest.mark.parametrize("servers", ["by-hand"], indirect=True, scope="package")
async def test_grants_by_others_are_taken_from_a_sandbox_in_batches(world):
    worker, lender = await world.add(), await world.add()
    role, borrower = lender.sandbox.schema_name, worker.sandbox.schema_name
    for kind, make in (("SEQUENCE", "s_%s"), ("FUNCTION", "f_%s () RETURNS int LANGUAGE sql AS 'SELECT 1'")):
        await lender.pg.execute(each(f"CREATE {kind} {make}", 400))
    await lender.pg.execute(each("CREATE DOMAIN d_%s AS int", 100))
    await lender.pg.execute(each(f"GRANT USAGE ON TYPE d_%s TO {borrower}", 100))
    for kinds in ("SEQUENCES", "FUNCTIONS"):
        await lender.pg.execute(f"GRANT ALL ON ALL {kinds} IN SCHEMA {role} TO {borrower}")
    granted = "SELECT count(*) FROM pg_shdepend WHERE deptype = 'a' AND refobjid = to_regrole($1)"
    left = [await world.superuser.fetchval(granted, borrower)]
    while await world.stores.pool.fetchval("SELECT thin_sandbox_schema($1, 300)", borrower):
        left.append(await world.superuser.fetchval(granted, borrower))
    assert left[0] > 900
    assert all(0 < before - after <= 350 for before, after in pairwise(left))  # and those on what has gone beside them
    assert left[-1] < 300
    await world.manager.destroy(ADA, worker.sandbox.id)
    assert await world.superuser.fetchval("SELECT to_regrole($1)", borrower) is None
    await worker.close()
    await lender.close()
