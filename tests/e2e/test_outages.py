"""Servers that die, stand still or forget while events come: none is lost, doubled, inverted or misrouted."""

import asyncio
import json
import os
import signal
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from loguru import logger

from bot import names
from bot.app import open_app
from bot.errors import ServiceUnavailable
from bot.supervisor import State
from local_discord import Guild
from tests.conftest import running_stores
from tests.e2e.conftest import running
from tests.sessions import ENDED


@pytest.fixture(scope="module")
async def stores(tmp_path_factory):
    """Servers that only these tests use, for they kill them."""
    async with running_stores(tmp_path_factory.mktemp("outages")) as running:
        yield running


@pytest.fixture
async def bound(open_scene):
    """Ada's server bound to `blue`, Bob's to `red`, and room for 100 events that NATS has not acknowledged."""
    async with open_scene(routing={"window": 100}) as scene:
        await scene.ada.command("sandbox create", channel=scene.lab.general, name="blue", bind_here=True)
        await scene.bob.command("sandbox create", channel=scene.arcade.general, name="red", bind_here=True)
        yield scene


class Load:
    """A stream of events in both servers, as they were sent."""

    def __init__(self, scene, pause_s=0.004):
        self.scene, self._pause_s = scene, pause_s
        self.sent: dict[Guild, list[str]] = {scene.lab: [], scene.arcade: []}
        self.enough = asyncio.Event()

    async def run(self):
        while not self.enough.is_set():
            for guild, sent in self.sent.items():
                data = {"guild_id": str(guild.id), "n": len(sent)}
                sent.append(await self.scene.discord.dispatch("TYPING_START", data, guild_id=guild.id))
            await asyncio.sleep(self._pause_s)

    async def more(self, events):
        """Returns when so many more have been sent in each server."""
        goal = len(self.sent[self.scene.lab]) + events
        async with asyncio.timeout(20):
            while len(self.sent[self.scene.lab]) < goal:
                await asyncio.sleep(0.005)


@asynccontextmanager
async def load_on(scene, pause_s=0.004):
    load = Load(scene, pause_s)
    task = asyncio.create_task(load.run())
    try:
        await load.more(20)
        yield load
        await load.more(20)
    finally:
        load.enough.set()
        await task


async def stored_texts(scene, sandbox):
    subscription = await scene.jetstream.subscribe(
        names.event_subjects(sandbox.id), stream=sandbox.stream, ordered_consumer=True
    )
    count = (await scene.jetstream.stream_info(sandbox.stream)).state.messages
    texts = [(await subscription.next_msg(timeout=5)).data.decode() for _ in range(count)]
    await subscription.unsubscribe()
    return texts


async def all_arrived(scene, load, seconds=10.0):
    for name, guild in (("blue", scene.lab), ("red", scene.arcade)):
        sandbox = await scene.sandbox(name)

        async def complete(sandbox=sandbox, guild=guild):
            return (await scene.jetstream.stream_info(sandbox.stream)).state.messages >= len(load.sent[guild])

        await scene.until(complete, seconds)
        assert await stored_texts(scene, sandbox) == load.sent[guild]


async def restarted(stores, name, killed):
    async with asyncio.timeout(10):
        while stores.pids.get(name, killed) == killed:
            await asyncio.sleep(0.01)


async def test_a_killed_nats_loses_doubles_and_inverts_nothing(bound, stores):
    async with load_on(bound) as load:
        killed = stores.pids["nats"]
        os.kill(killed, signal.SIGKILL)
        await load.more(100)
        await restarted(stores, "nats", killed)
    await all_arrived(bound, load)


async def test_a_nats_that_stands_still_stops_the_reading_before_memory_fills(bound, stores):
    publisher = bound.app.publisher
    os.kill(stores.pids["nats"], signal.SIGSTOP)
    async with load_on(bound) as load:
        await load.more(200)
        assert publisher.is_full
        assert publisher.last_published - publisher.low_water_mark <= 100
        os.kill(stores.pids["nats"], signal.SIGCONT)
    await all_arrived(bound, load)
    assert (bound.discord.identifies, publisher.counts["refused"]) == (1, 0)


async def test_without_postgresql_routing_goes_on_and_changes_are_effective_soon_after_its_return(bound, stores):
    async with load_on(bound) as load:
        killed = stores.pids["postgres"]
        os.kill(killed, signal.SIGINT)
        await load.more(100)
        await restarted(stores, "postgres", killed)
        await bound.until(lambda: answers(bound), 10)
        green = await bound.app.manager.create(bound.app.bot.actor(await bound.app.bot.fetch_user(bound.ada.id)))
        await bound.app.manager.register_guild(
            bound.app.bot.actor(await bound.app.bot.fetch_user(bound.ada.id)), green.id, bound.lobby.id
        )
        await bound.ada.send(bound.lobby.general, "to green")

        async def routed():
            return (await bound.jetstream.stream_info(green.stream)).state.messages == 1

        await bound.until(routed, 5)
    await all_arrived(bound, load)


async def answers(scene):
    try:
        return await scene.app.stores.pool.fetchval("SELECT true")
    except ENDED:
        return False


async def test_without_redis_routing_goes_on_and_the_session_is_saved_again_after_its_return(bound, stores):
    redis, key = bound.app.stores.redis, names.gateway_session_key(bound.discord.application_id, 1, 0)
    async with load_on(bound) as load:
        await redis.flushall()
        await load.more(20)
        killed = stores.pids["redis"]
        os.kill(killed, signal.SIGKILL)
        await load.more(100)
        await restarted(stores, "redis", killed)
    await all_arrived(bound, load)

    async def saved():
        session = json.loads(await redis.get(key) or "{}")
        return session.get("sequence") == bound.discord.dispatched[-1].sequence

    await bound.until(saved)


async def test_a_sandbox_destroyed_under_load_costs_the_others_nothing(bound):
    async with load_on(bound) as load:
        blue = await bound.sandbox("blue")
        await bound.app.manager.destroy(bound.app.bot.actor(await bound.app.bot.fetch_user(bound.ada.id)), blue.id)
        await load.more(100)
        again = await bound.ada.command("sandbox create", channel=bound.lab.general, name="blue", bind_here=True)
        assert again.message is not None
    red = await bound.sandbox("red")
    await bound.app.publisher.drain(5)
    assert await stored_texts(bound, red) == load.sent[bound.arcade]
    late = await stored_texts(bound, await bound.sandbox("blue"))
    assert late == load.sent[bound.lab][-len(late) :]
    assert len(late) >= 20


async def test_a_stream_that_is_deleted_in_nats_is_made_again_at_once_and_marked(bound):
    blue = await bound.sandbox("blue")
    await bound.jetstream.delete_stream(blue.stream)

    async def holds(events):
        stats = await bound.app.manager.streams.stats(blue.id)
        return stats is not None and stats.messages == events

    await bound.until(lambda: holds(1), 5)
    await bound.ada.send(bound.lab.general, "after it")
    await bound.until(lambda: holds(2))
    (first, gap, _), (_, last, _) = await bound.stored(blue)
    assert first == f"{blue.nats_prefix}events.GATEWAY_GAP"
    assert json.loads(gap)["d"]["guild_ids"] == [str(bound.lab.id)]
    assert json.loads(last)["d"]["content"] == "after it"


async def test_a_nats_that_refuses_the_bot_for_good_ends_it_and_the_next_start_loses_nothing(open_scene, settings_of):
    scenes = []

    async def run_until_nats_refuses():
        async with open_scene() as scene:
            scenes.append(scene)
            await scene.ada.command("sandbox create", channel=scene.lab.general, name="blue", bind_here=True)
            await scene.app.stores.nats._process_err("'authorization violation'")
            await scene.discord.wait_until_gone()

    with pytest.raises(ServiceUnavailable, match="NATS"):
        await run_until_nats_refuses()
    (scene,) = scenes
    await scene.ada.send(scene.lab.general, "to nobody yet")
    async with open_app(settings_of(scene.discord)) as app, running(app, scene.discord):
        scene.app = app
        blue = await scene.sandbox("blue")

        async def has_come():
            return (await scene.jetstream.stream_info(blue.stream)).state.messages == 1

        await scene.until(has_come)
    assert (scene.discord.identifies, scene.discord.resumes) == (1, 1)


@pytest.mark.parametrize(("store", "service"), [("postgres", "PostgreSQL"), ("redis", "Redis"), ("nats", "NATS")])
async def test_an_outage_is_told_once_when_it_begins_and_once_when_it_is_over(scene, stores, told, store, service):
    parts = scene.app.supervisor.parts
    await scene.until(lambda: are_running(parts))
    told.clear()
    pid = stores.pids[store]
    guardian = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    os.kill(guardian, signal.SIGSTOP)  # or it would be back too soon to be missed
    try:
        os.kill(pid, signal.SIGKILL)
        await scene.until(lambda: are_failing(parts))
    finally:
        os.kill(guardian, signal.SIGCONT)
    await restarted(stores, store, pid)
    await scene.until(lambda: are_running(parts), 20)
    # Not what else may be logged meanwhile: of a lease that ran out in a long outage, and by the test's own client.
    lines = [
        (level, facts.get("service") or facts.get("cause"))
        for level, message, facts in told
        if message in ("a service is away", "an outage is over")
    ]
    assert lines == [("WARNING", service), ("INFO", service)], told


@pytest.fixture
def told():
    """What is logged from now on, but the embedded servers' own: (level, message, facts)."""
    found = []

    def keep(message):
        record = message.record
        if not record["name"].startswith("bot.stores.embedded"):
            found.append((record["level"].name, record["message"], record["extra"]))

    handler = logger.add(keep, level="INFO")
    yield found
    logger.remove(handler)


async def are_running(parts):
    return all(part.state is State.RUNNING for part in parts.values())


async def are_failing(parts):
    return any(part.state is State.FAILING for part in parts.values())
