"""What one sandbox's open transaction locks of another's: nothing of it keeps the other from changing or ending."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import asyncpg
import pytest

from bot.sandboxes.access.lock_guard import LockGuard
from bot.supervisor import Supervisor
from tests.breakout.conftest import BOB, until
from tests.breakout.sessions import until_async
from tests.sessions import ENDED

HOLDS = {
    "the list of sequences": "SELECT * FROM pg_sequences",
    "views' texts": "SELECT pg_get_viewdef(oid) FROM pg_class WHERE relkind = 'v'",
    "rules' texts": "SELECT pg_get_ruledef(oid) FROM pg_rewrite",
    "the list of materialized views": "SELECT * FROM pg_matviews",
    "partitions": "SELECT * FROM pg_class AS c, pg_partition_tree(c.oid)",
    "a grant": "GRANT SELECT ON own TO {victim}",
    "a policy": "CREATE POLICY mine ON own TO {victim}",
    "default privileges": "ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO {victim}",
    "a grant of a function": (
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'; GRANT ALL ON FUNCTION f TO {victim}"
    ),
}
"""Each leaves, until the transaction's end, a lock on something of another sandbox's."""
QUICK = ("the list of sequences", "a grant")

VICTIM = """
CREATE TABLE own (id int GENERATED ALWAYS AS IDENTITY, value text);
CREATE VIEW seen AS SELECT * FROM own;
CREATE MATERIALIZED VIEW kept AS SELECT * FROM own;
CREATE TABLE whole (id int) PARTITION BY RANGE (id);
CREATE TABLE part PARTITION OF whole FOR VALUES FROM (0) TO (10)
"""
WITHIN_S = 5


async def reset(world, victim):
    await world.manager.reset(BOB, victim.sandbox.id)


async def destroy(world, victim):
    await world.manager.destroy(BOB, victim.sandbox.id)
    query = "SELECT to_regrole($1) IS NULL AND to_regnamespace($1) IS NULL"
    await until_async(lambda: world.superuser.fetchval(query, victim.sandbox.schema_name))


async def alter(world, victim):
    await victim.pg.execute("ALTER SEQUENCE own_id_seq RESTART; DROP TABLE own CASCADE; DROP TABLE whole")


ENDS = {"reset": reset, "destroyed": destroy, "altered by its own worker": alter}


@pytest.fixture
async def guarded(world):
    async with Supervisor() as supervisor:
        part = supervisor.start("lock guard", LockGuard(world.stores.addresses.postgres).run)
        await part.wait_running()
        yield


@pytest.mark.usefixtures("guarded")
@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize(
    "hold", [pytest.param(hold, marks=() if hold in QUICK else pytest.mark.long) for hold in HOLDS]
)
async def test_a_lock_on_anothers_things_is_ended_when_somebody_waits_for_it(world, hold, end):
    attacker, victim = await world.add(), await world.add(BOB)
    try:
        await victim.pg.execute(VICTIM)
        await attacker.pg.execute(
            "CREATE TABLE own (); BEGIN; " + HOLDS[hold].format(victim=victim.sandbox.schema_name)
        )
        async with asyncio.timeout(WITHIN_S):
            await ENDS[end](world, victim)
    finally:
        await attacker.close()
        await victim.close()


READ_ALL = """
DO $$ BEGIN FOR n IN 1..1200 LOOP FOR i IN 1..4 LOOP
    BEGIN EXECUTE format('SELECT id FROM read_%s WHERE id = %s', n, i * 100);
    EXCEPTION WHEN out_of_memory THEN NULL; END;
END LOOP; END LOOP; END $$
"""


@pytest.mark.long
@pytest.mark.usefixtures("guarded")
async def test_who_has_read_too_much_in_serializable_transactions_loses_them(world):
    """What they have read is kept in a table of the whole server's, which has no room for others' then."""
    worker = await world.add()
    for first in range(1, 1200, 10):
        await worker.pg.execute(
            f"DO $$ BEGIN FOR n IN {first}..{first + 9} LOOP"
            " EXECUTE format('CREATE TABLE read_%s (id int PRIMARY KEY)', n);"
            " EXECUTE format('INSERT INTO read_%s SELECT generate_series(1, 500)', n); END LOOP; END $$"
        )
    readers = [await asyncpg.connect(worker.urls["SANDBOX_DATABASE_URL"]) for _ in range(7)]
    began = "SET enable_seqscan = off; SET enable_bitmapscan = off; BEGIN ISOLATION LEVEL SERIALIZABLE"
    with suppress(*ENDED):
        for reader in readers:
            await reader.execute(began)
            await reader.execute(READ_ALL)
    await until(lambda: all(reader.is_closed() for reader in readers), WITHIN_S)
    await world.b.pg.execute("BEGIN ISOLATION LEVEL SERIALIZABLE; SELECT * FROM own WHERE id = 1; COMMIT")
    for reader in readers:
        reader.terminate()
    await worker.close()


@pytest.mark.usefixtures("guarded")
async def test_who_makes_its_own_tables_wait_for_itself_is_left_alone(world):
    worker = await world.add()
    other = await asyncpg.connect(worker.urls["SANDBOX_DATABASE_URL"])
    await worker.pg.execute("CREATE TABLE mine ()")
    await worker.pg.execute("BEGIN; LOCK TABLE mine")
    with pytest.raises(asyncpg.LockNotAvailableError):
        await other.execute("SET lock_timeout = '1s'; SELECT FROM mine")
    await worker.pg.execute("COMMIT")
    await other.close()
    await worker.close()
