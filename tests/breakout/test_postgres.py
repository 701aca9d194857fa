"""A's worker against PostgreSQL."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from itertools import batched

import asyncpg
import pytest

from tests.breakout.conftest import try_all
from tests.breakout.postgres_tries import FUNCTIONS_OF_OURS, OWN_SCHEMA_WORKS, REFUSED, SHOW_NOTHING

pytestmark = pytest.mark.timeout(300)  # the whole database is looked at after each try, with all that others have left

MISTAKEN = (asyncpg.PostgresSyntaxError, asyncpg.UndefinedColumnError, asyncpg.UndefinedFunctionError)
"""A try that fails like this has tried nothing."""

STATE = """
SELECT concat_ws(' ', 'role', to_jsonb(r)) FROM pg_authid AS r WHERE rolname !~ '^pg_'
UNION ALL SELECT concat_ws(' ', 'member', roleid::regrole, member::regrole, admin_option) FROM pg_auth_members
UNION ALL SELECT concat_ws(' ', 'setting', s) FROM pg_db_role_setting AS s
UNION ALL SELECT concat_ws(' ', 'database', datname, datdba::regrole, datacl) FROM pg_database
           WHERE datname = current_database()
UNION ALL SELECT concat_ws(' ', 'schema', nspname, nspowner::regrole, nspacl)
            FROM pg_namespace WHERE nspname !~ '^pg_'
UNION ALL SELECT concat_ws(' ', 'relation', oid::regclass, relowner::regrole, relacl, relkind, relhastriggers,
                           relhasrules, relrowsecurity, relnatts)
            FROM pg_class WHERE relnamespace::regnamespace::text !~ '^(pg_|information_)'
UNION ALL SELECT concat_ws(' ', 'function', oid::regprocedure, proowner::regrole, proacl)
            FROM pg_proc WHERE pronamespace::regnamespace::text !~ '^(pg_|information_)'
UNION ALL SELECT concat_ws(' ', 'comment', d) FROM pg_description AS d WHERE classoid = 'pg_namespace'::regclass
UNION ALL SELECT concat_ws(' ', 'defaults', d) FROM pg_default_acl AS d
UNION ALL SELECT concat_ws(' ', 'large object', m.oid, lomowner::regrole, lomacl, md5(lo_get(m.oid)))
            FROM pg_largeobject_metadata AS m
"""


ROWS = """
SELECT format('SELECT concat_ws('' '', %L, count(*), sum(hashtextextended(t::text, 0))) FROM (SELECT * FROM %s) AS t',
              oid::regclass, oid::regclass)
  FROM pg_class WHERE relkind IN ('r', 'S') AND relnamespace::regnamespace::text !~ '^(pg_|information_)'
"""
"""One query for each relation, some at a time: together they may need more locks than a small server has. How many rows
it has, and their hash: the rows themselves, after other tests' floods, take a minute to compare after each try."""


@pytest.fixture(scope="package")
async def state(world):
    """The whole database's, as the superuser sees it before any try."""
    world.b_lo = await world.b.pg.fetchval("SELECT lo_from_bytea(0, 'secret')")
    return {"before": await look(world)}


async def settle(world, state):
    """Whatever was tried: nothing has changed, and nobody has lost a session."""
    if world.a.pg.is_closed():
        world.a.pg = await asyncpg.connect(world.a.urls["SANDBOX_DATABASE_URL"])
    if world.a.pg.is_in_transaction():
        await world.a.pg.execute("ROLLBACK")
    await world.a.pg.reset()
    found = await look(world)
    before, state["before"] = state["before"], found
    assert (Counter(found) - Counter(before), Counter(before) - Counter(found)) == (Counter(), Counter())
    assert await world.b.pg.fetchval("SELECT name FROM communities") == "secret"


async def look(world):
    queries = [query for (query,) in await world.superuser.fetch(ROWS)]
    together = [" UNION ALL ".join(some) for some in batched(queries, 50)]
    return sorted([row[0] for query in [*together, STATE] for row in await world.superuser.fetch(query)])


def filled(world, statements):
    return statements.format(**world.names, b_lo=world.b_lo)


async def test_postgres_refuses_every_try(world, state):
    async def attempt(statements):
        with pytest.raises(asyncpg.PostgresError) as refused:
            await world.a.pg.execute(filled(world, statements))
        assert not isinstance(refused.value, MISTAKEN), refused.value
        await settle(world, state)

    await try_all(REFUSED, attempt)


async def test_postgres_refuses_every_function_of_ours(world, state):
    calls = [row["call"] for row in await world.superuser.fetch(FUNCTIONS_OF_OURS, str(world.b.sandbox.id))]
    assert len(calls) > 15
    for call in calls:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await world.a.pg.execute(call)
    await settle(world, state)


async def test_postgres_shows_nothing(world, state):
    async def attempt(query):
        assert await world.a.pg.fetch(filled(world, query)) == []

    await try_all(SHOW_NOTHING, attempt)
    await settle(world, state)


@pytest.mark.parametrize("statements", [pytest.param(sql, id=name) for name, sql in OWN_SCHEMA_WORKS.items()])
async def test_postgres_lets_a_worker_do_its_work(world, statements):
    await world.a.pg.execute(filled(world, statements))


@pytest.mark.parametrize("database", ["postgres", "template1", "template0"])
async def test_postgres_refuses_a_login_to_another_database(world, database):
    url = world.a.urls["SANDBOX_DATABASE_URL"].replace(world.database, database)
    with pytest.raises((asyncpg.InsufficientPrivilegeError, asyncpg.ObjectNotInPrerequisiteStateError)):
        await asyncpg.connect(url)


@pytest.mark.parametrize("password", ["of-a", "", "guessed", "verifier"])
@pytest.mark.parametrize("role", ["b", "sandbox_bot", "sandbox_worker", "superuser"])
async def test_postgres_refuses_a_login_as_another(world, role, password):
    of_b = await world.stores.pool.fetchval(
        "SELECT scram_verifier FROM sandbox_credentials WHERE sandbox_id = $1", world.b.sandbox.id
    )
    passwords = {"of-a": world.a.token, "verifier": of_b}
    superuser = re.findall(r"//(\w+):", world.servers.superuser_url())[0]
    with pytest.raises((asyncpg.InvalidPasswordError, asyncpg.InvalidAuthorizationSpecificationError)):
        await asyncpg.connect(
            world.a.urls["SANDBOX_DATABASE_URL"],
            user={"b": world.b.sandbox.schema_name, "superuser": superuser}.get(role, role),
            password=passwords.get(password, password),
        )


async def test_postgres_refuses_a_replication_connection(world):
    with pytest.raises(asyncpg.PostgresError) as refused:
        await asyncpg.connect(world.a.urls["SANDBOX_DATABASE_URL"], server_settings={"replication": "database"})
    assert refused.value.sqlstate in {"28000", "42501", "53300"}


async def test_postgres_lets_no_more_connections_in_than_the_limit(world):
    most = world.settings.isolation.max_connections
    outcomes = await asyncio.gather(
        *(asyncpg.connect(world.a.urls["SANDBOX_DATABASE_URL"]) for _ in range(most + 5)), return_exceptions=True
    )
    let_in = [outcome for outcome in outcomes if isinstance(outcome, asyncpg.Connection)]
    for connection in let_in:
        await connection.close()
    assert len(let_in) == most - 1  # with the one that A has
    assert all(isinstance(o, asyncpg.Connection | asyncpg.TooManyConnectionsError) for o in outcomes)
