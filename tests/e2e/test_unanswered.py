"""What a user is told of a command or a button that belongs to a sandbox's worker."""

import asyncio
import json

import aiohttp
import nats
import pytest

from bot import names
from bot.sandboxes.model import Actor
from tests.e2e.conftest import text


@pytest.fixture
async def bound(scene):
    """Ada's server bound to `blue`."""
    await scene.ada.command("sandbox create", channel=scene.lab.general, name="blue", bind_here=True)
    return scene


class Worker:
    """Answers what it is sent, `after` so many seconds."""

    task: asyncio.Task[None]

    def __init__(self, scene, after=0.0, answer=None):
        self.scene, self.after = scene, after
        self.answer = answer or {"type": 4, "data": {"content": "the worker's", "flags": 64}}
        self.statuses = []

    async def run(self, stream):
        events = await self.scene.jetstream.pull_subscribe_bind(consumer=names.WORKER_CONSUMER, stream=stream)
        try:
            while True:
                (message,) = await events.fetch(1, timeout=30)
                await message.ack()
                if message.subject.endswith("INTERACTION_CREATE"):
                    await asyncio.sleep(self.after)
                    await self.respond(json.loads(message.data)["d"])
        finally:
            await events.unsubscribe()

    async def leave(self):
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)

    async def respond(self, interaction):
        url = f"{self.scene.discord.api_base}/interactions/{interaction['id']}/{interaction['token']}/callback"
        async with aiohttp.ClientSession() as session, session.post(url, json=self.answer) as response:
            self.statuses.append(response.status)


@pytest.fixture
async def hire(bound):
    hired = []

    async def hire(**options):
        worker = Worker(bound, **options)
        sandbox = await bound.sandbox("blue")
        worker.task = asyncio.create_task(worker.run(sandbox.stream))
        hired.append(worker)

        async def is_waiting():
            consumer = await bound.jetstream.consumer_info(sandbox.stream, names.WORKER_CONSUMER)
            return consumer.num_waiting

        await bound.until(is_waiting)
        return worker

    yield hire
    for worker in hired:
        await worker.leave()


async def answered(reply, seconds=5.0):
    async with asyncio.timeout(seconds):
        while reply.message is None:
            await asyncio.sleep(0.01)
    return reply


async def test_without_a_worker_the_user_is_told_so_within_a_second(bound):
    reply = await bound.ada.use_foreign_command("play", channel=bound.lab.general)
    await answered(reply, 2)
    assert "No worker or bot is connected to sandbox “blue”" in text(reply)
    assert "Start yours with the environment from `/sandbox connect`" in text(reply)
    assert reply.message.ephemeral
    blue = await bound.sandbox("blue")
    assert [subject.rpartition(".")[2] for subject, *_ in await bound.stored(blue)] == ["INTERACTION_CREATE"]


@pytest.mark.parametrize("after", [1.2, 2.4])  # as long as Discord waits, but for the way to it
async def test_a_worker_that_answers_in_time_is_never_disturbed(bound, hire, after):
    worker = await hire(after=after)
    reply = await answered(await bound.ada.use_foreign_command("play", channel=bound.lab.general))
    await bound.until(lambda: nobody_is_waited_for(bound))
    assert worker.statuses == [204]
    assert [message.content for message in reply.messages] == ["the worker's"]


async def test_an_answer_that_shows_nowhere_is_not_overwritten(bound, hire):
    worker = await hire(answer={"type": 4, "data": {"components": [_row("quiet")], "content": "press"}})
    panel = (await answered(await bound.ada.use_foreign_command("panel", channel=bound.lab.general))).message
    worker.answer = {"type": 6}
    reply = await bound.ada.click(panel, "quiet")
    await bound.until(lambda: nobody_is_waited_for(bound))
    assert bound.discord.requests[-1][2] == 400
    assert worker.statuses == [204, 204]
    assert reply.message is None


async def nobody_is_waited_for(scene):
    return not scene.app.router._responses._watches


async def test_a_worker_that_is_too_slow_is_named_before_discords_deadline(bound, hire):
    bound.discord.settings.callback_deadline_s = 5  # so that a busy machine may be late
    worker = await hire(after=3.5)
    reply = await answered(await bound.ada.use_foreign_command("play", channel=bound.lab.general))
    assert "No worker or bot of sandbox “blue” has answered in time" in text(reply)
    assert 2.7 < reply.ack_ms / 1000 < 3.4

    async def refused():
        return worker.statuses == [400]

    await bound.until(refused)


async def test_a_button_of_a_worker_that_is_gone_is_answered_too(bound, hire):
    worker = await hire(answer={"type": 4, "data": {"components": [_row("again")], "content": "press"}})
    panel = (await answered(await bound.ada.use_foreign_command("panel", channel=bound.lab.general))).message
    stream = (await bound.sandbox("blue")).stream

    async def has_read_all():
        consumer = await bound.jetstream.consumer_info(stream, names.WORKER_CONSUMER)
        return consumer.num_pending == consumer.num_ack_pending == 0

    await bound.until(has_read_all)
    await worker.leave()
    reply = await answered(await bound.ada.click(panel, "again"))
    assert "No worker or bot is connected" in text(reply)


def _row(custom_id):
    return {"type": 1, "components": [{"type": 2, "style": 1, "label": custom_id, "custom_id": custom_id}]}


@pytest.fixture
def soon(monkeypatch):
    """The waits of the guard, in tenths."""
    monkeypatch.setattr("bot.constants.DESERTED_AFTER_S", 0.05)
    monkeypatch.setattr("bot.constants.DESERTED_LOOKS_APART_S", 0.05)


async def test_a_worker_that_settles_events_before_it_deals_with_them_is_not_taken_for_absent(
    discord, open_scene, soon
):
    async with open_scene(routing={"unanswered_after": 0.5}) as scene:
        await scene.ada.command("sandbox create", channel=scene.lab.general, name="blue", bind_here=True)
        sandbox = await scene.sandbox("blue")
        ada = Actor(scene.ada.id, "ada", False)
        login = (await scene.app.manager.issue_credentials(ada, sandbox.id)).environment
        client = await nats.connect(login["SANDBOX_NATS_URL"])
        reply = await answered(await scene.ada.use_foreign_command("play", channel=scene.lab.general))
        assert "has answered in time" in text(reply)
        await client.close()


async def test_the_guard_can_be_turned_off(open_scene, soon):
    async with open_scene(routing={"unanswered_after": 0}) as scene:
        await scene.ada.command("sandbox create", channel=scene.lab.general, name="blue", bind_here=True)
        await scene.ada.use_foreign_command("play", channel=scene.lab.general)

        async def routed():
            return scene.app.router.counts["routed"]

        await scene.until(routed)
        assert not scene.app.router._responses._watches


async def test_suggestions_and_unbound_servers_are_left_alone(bound):
    data = {"id": "1", "type": 4, "token": "t", "guild_id": str(bound.lab.id), "data": {"name": "play"}}
    await bound.discord.dispatch("INTERACTION_CREATE", data, guild_id=bound.lab.id)
    await bound.ada.use_foreign_command("play", channel=bound.lobby.general)

    async def routed():
        return bound.app.router.counts["unbound"] and bound.app.router.counts["routed"]

    await bound.until(routed)
    assert not bound.app.router._responses._watches
