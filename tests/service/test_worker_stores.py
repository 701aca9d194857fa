"""A worker's messages, tables, and what the team shares."""

from __future__ import annotations

import asyncio

import asyncpg
import nats
import pytest

from sandbox_worker import SandboxEnded, protocol
from tests.service.conftest import ADA
from tests.service.workers import Gate, make_place


@pytest.fixture
async def place(enforced, nats_client):
    return await make_place(enforced, nats_client)


async def test_workers_tell_each_other_things_under_names_without_the_prefix(place):
    plain = await nats.connect(place.environment["SANDBOX_NATS_URL"])
    seen = await plain.subscribe(f"{place.sandbox.nats_prefix}>")
    await plain.flush()
    async with place.worker() as one, place.worker() as two, two.subscribe("jobs.*") as messages:
        await one.publish("jobs.build", "now")
        await one.publish("other", b"unheard")
        await one.publish("jobs.test", b"\x00")
        build, test = await anext(messages), await anext(messages)
    assert (build.subject, build.data) == ("jobs.build", b"now")
    assert (test.subject, test.data) == ("jobs.test", b"\x00")
    first = await seen.next_msg(timeout=5)
    assert first.subject == f"{place.sandbox.nats_prefix}work.jobs.build"
    assert first.headers == {protocol.AGENT_HEADER: protocol.agent()}
    await plain.close()


async def test_sandboxes_do_not_hear_each_other(place, enforced, nats_client):
    other = await make_place(enforced, nats_client)
    async with place.worker() as one, other.worker() as two, two.subscribe(">") as messages:
        await one.publish("jobs", b"of one")
        await two.publish("jobs", b"of two")
        assert (await anext(messages)).data == b"of two"


async def test_a_subscription_outlives_an_outage_and_what_is_published_waits_for_it(place):
    gate = Gate(place.environment["SANDBOX_NATS_URL"])
    await gate.open()
    url = gate.of(place.environment["SANDBOX_NATS_URL"])
    async with place.worker(SANDBOX_NATS_URL=url) as sandbox, sandbox.subscribe("jobs") as messages:
        await gate.shut()
        waiting = asyncio.create_task(anext(messages))
        await place.until(lambda: _is(sandbox._connection.current, None))
        publishing = asyncio.create_task(sandbox.publish("jobs", b"late"))
        await gate.open()
        assert (await waiting).data == b"late"
        await publishing
    await gate.shut()


async def test_tables_are_the_sandboxes_own(place, pool):
    async with place.worker() as sandbox:
        await sandbox.pg.execute("CREATE TABLE greetings (word text)")
        await sandbox.pg.execute("INSERT INTO greetings VALUES ('hello')")
        assert await sandbox.pg.fetchval("SHOW search_path") == place.sandbox.schema_name
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await sandbox.pg.fetch("TABLE public.sandboxes")
    assert await pool.fetchval(f"SELECT word FROM {place.sandbox.schema_name}.greetings") == "hello"


async def test_a_database_that_refuses_the_login_is_the_end_too(place):
    await place.manager.destroy(ADA, place.sandbox.id)
    async with place.worker() as sandbox:
        with pytest.raises(SandboxEnded, match="destroyed, expired or new credentials"):
            await sandbox.pg.fetchval("SELECT 1")


async def test_with_the_teams_addresses_schema_and_prefixes_are_kept_by_the_kit(
    place, stores, dsn, redis_client, nats_client
):
    shared = {"DATABASE_URL": dsn, "REDIS_URL": stores.redis_url, "NATS_URL": stores.nats_url}
    own = {name: "" for name in place.environment if name.endswith("_URL")}
    async with place.worker(**own, **shared) as sandbox, sandbox.subscribe("jobs") as messages:
        await sandbox.pg.execute("INSERT INTO communities (guild_id, name) VALUES (1, 'Lab')")
        await sandbox.redis.set("greeting", "hello")
        await sandbox.publish("jobs", b"build")
        await place.send(content="hi")
        assert (await anext(messages)).subject == "jobs"
        event = await anext(sandbox.events())
        await event.ack()
        await place.until_settled()
        assert await sandbox.pg.fetchval(f"SELECT count(*) FROM {place.sandbox.schema_name}.communities") == 1
    assert await redis_client.keys() == [f"{place.sandbox.redis_prefix}greeting".encode()]


async def _is(value, wanted):
    return value is wanted
