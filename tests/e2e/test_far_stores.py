"""All that a bot and its workers do, with every store so far away that an answer takes 300 ms."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from datetime import timedelta

import nats
import pytest

from bot import constants
from bot.cli.check.checks import CHECKS
from bot.cli.check.examination import examine
from bot.cli.check.surroundings import open_surroundings
from bot.clock import elapsed
from bot.sandboxes.model import SandboxStatus
from sandbox_worker import Sandbox, SandboxEnded
from tests.e2e.conftest import environment_in, title
from tests.e2e.relay.processes import free_port
from tests.e2e.relay.raw_bot import RawBot

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]

OUTCOME_WITHIN_S = 30.0


@pytest.fixture
def settings_of(settings_of, wires):
    """By lines that are slow from the bot's start on, and for its workers too."""
    for line in wires.lines.values():
        line.one_way_s = constants.SLOW_ROUND_TRIP_S / 2
    return lambda *args, **changes: settings_of(*args, **changes).model_copy(update=wires.sections)


@pytest.fixture
def open_far(open_scene):
    """The scene, with a relay, when the bot's commands are registered."""

    @asynccontextmanager
    async def open_():
        second = timedelta(seconds=1)
        async with open_scene(relay={"listen": f"127.0.0.1:{free_port()}"}, sandboxes={"sweep_every": second}) as scene:
            await scene.app.supervisor.parts["commands"].wait_running()
            yield scene

    return open_


class Ada:
    """What she does in her lab, and that its outcome is what it would be with stores that are near."""

    def __init__(self, scene):
        self.person, self.channel, self.scene = scene.ada, scene.lab.general, scene

    async def use(self, command, wanted, **options):
        reply = await self.person.command(command, channel=self.channel, **options)
        return await reply.wait_for(lambda it: it.message and wanted in title(it.message), OUTCOME_WITHIN_S)

    async def press(self, reply, button, wanted):
        question = reply.message
        pressed = await self.person.click(question, button)
        await pressed.wait_for(lambda _: wanted in title(question), OUTCOME_WITHIN_S)

    async def say(self, sandbox, text):
        """Returns when it is in the sandbox's stream."""
        before = (await self.stream(sandbox)).last
        await self.person.send(self.channel, text)

        async def is_stored():
            return (await self.stream(sandbox)).last > before

        await self.scene.until(is_stored)

    async def stream(self, sandbox):
        return await self.scene.app.manager.streams.stats(sandbox.id)

    async def until_acknowledged(self, sandbox):
        async def is_settled():
            return (await self.stream(sandbox)).waiting == 0

        await self.scene.until(is_settled, OUTCOME_WITHIN_S)


async def work(environment, done):
    """Reads and acknowledges until the sandbox lets the worker in no more."""
    async with Sandbox.from_env(environment) as sandbox:
        with suppress(SandboxEnded):
            async for event in sandbox.events():
                await event.ack()
                done.set()


async def start_worker(ada, sandbox, environment):
    """The task, when it has got an event."""
    done = asyncio.Event()
    task = asyncio.create_task(work(environment, done))
    await ada.say(sandbox, "to a worker")
    await asyncio.wait_for(done.wait(), OUTCOME_WITHIN_S)
    return task


async def take_with_nats_py(environment):
    """The name of an event that is received and acknowledged by nats-py alone, with its own limits."""
    inbox = f"_INBOX_{environment['SANDBOX_ID'].replace('-', '')}"
    client = await nats.connect(environment["SANDBOX_NATS_URL"], inbox_prefix=inbox.encode())
    events = environment["SANDBOX_NATS_PREFIX"] + "events.>"
    stream = environment["SANDBOX_NATS_STREAM"]
    subscription = await client.jetstream().pull_subscribe(events, durable="worker", stream=stream)
    (message,) = await subscription.fetch(1)
    await message.ack_sync()
    await client.close()
    return message.subject.rpartition(".")[2]


async def test_a_sandbox_is_made_used_and_destroyed(open_far):
    async with open_far() as scene:
        ada = Ada(scene)
        await ada.use("sandbox create", "blue", name="blue")
        await ada.use("sandbox bind-guild", "Server bound", sandbox="blue")
        await ada.use("sandbox extend", "lives longer", sandbox="blue", by="1h")
        blue = await scene.sandbox("blue")
        await ada.say(blue, "one")
        environment = environment_in(await ada.use("sandbox connect", "blue", sandbox="blue"))
        assert await take_with_nats_py(environment) == "MESSAGE_CREATE"
        first = await start_worker(ada, blue, environment)
        await ada.until_acknowledged(blue)

        again = await ada.use("sandbox connect", "blue", sandbox="blue")
        rotated = await scene.ada.click(again.message, "New credentials")
        await rotated.wait_for(lambda it: it.message and it.message.attachments, OUTCOME_WITHIN_S)
        await asyncio.wait_for(first, OUTCOME_WITHIN_S)
        second = await start_worker(ada, blue, environment_in(rotated))

        asked = await ada.use("sandbox reset", "Reset", sandbox="blue")
        await ada.press(asked, "Reset", "is as when it was made")
        assert (await ada.stream(blue)).messages == 0
        asked = await ada.use("sandbox destroy", "Destroy", sandbox="blue")
        await ada.press(asked, "Destroy", "is destroyed")
        await asyncio.wait_for(second, OUTCOME_WITHIN_S)


async def test_a_sandbox_expires_with_its_workers(open_far, pool):
    async with open_far() as scene:
        ada = Ada(scene)
        await ada.use("sandbox create", "blue", name="blue", bind_here=True)
        blue = await scene.sandbox("blue")
        worker = await start_worker(ada, blue, environment_in(await ada.use("sandbox connect", "blue", sandbox="blue")))
        await pool.execute("UPDATE sandboxes SET expires_at = now()")

        async def has_expired():
            return (await scene.sandbox("blue")).status is SandboxStatus.EXPIRED

        await scene.until(has_expired)
        await asyncio.wait_for(worker, OUTCOME_WITHIN_S)
        await scene.until(lambda: has_no_route(scene))


async def has_no_route(scene):
    return scene.app.table.lookup(scene.lab.id, elapsed()) is None


async def test_a_bot_on_the_relay_hears_events(open_far):
    async with open_far() as scene:
        ada = Ada(scene)
        await ada.use("sandbox create", "blue", name="blue", bind_here=True)
        await scene.app.supervisor.parts["relay"].wait_running()
        environment = environment_in(await ada.use("sandbox connect", "blue", sandbox="blue"))
        async with RawBot(environment) as bot:
            await bot.identify()
            await scene.ada.send(scene.lab.general, "to a bot")
            await bot.hears("MESSAGE_CREATE", lambda heard: heard.data["content"] == "to a bot")


async def test_check_and_status_find_nothing_wrong_and_a_stop_leaves_nothing(open_far, pool):
    async with open_far() as scene:
        ada = Ada(scene)
        await ada.use("sandbox create", "blue", name="blue", bind_here=True)
        health = await scene.app.manager.get_health((await scene.sandbox("blue")).id)
        assert health.level == "healthy", health
        async with open_surroundings(scene.app.settings, trials=True) as surroundings:
            found = await examine(surroundings, CHECKS, OUTCOME_WITHIN_S)
        levels = {outcome.name: {finding.level for finding in outcome.findings} for outcome in found.outcomes}
        assert found.level != "failure", found
        assert all(levels[f"{store}.isolation"] == {"ok"} for store in ("postgres", "redis", "nats")), found
        assert "warning" not in levels["nats.limits"], found
    assert await pool.fetchval("SELECT count(*) FROM gateway_processes") == 0
    assert await pool.fetchval("SELECT bool_and(expires_at = '-infinity') FROM gateway_leases")


async def test_a_command_that_nobody_answers_is_answered_in_time(open_far):
    async with open_far() as scene:
        await Ada(scene).use("sandbox create", "blue", name="blue", bind_here=True)
        reply = await scene.ada.use_foreign_command("play", channel=scene.lab.general)
        await reply.wait_for(lambda it: it.message, 4)
        assert reply.ack_ms < 1000 * constants.INTERACTION_ANSWERABLE_S
