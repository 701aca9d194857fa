"""Who answers an interaction of a sandbox whose bot is on the relay: its bot, and nobody else.

The first ones take as long as Discord waits for an answer: the guard goes by Discord's clock.
"""

from __future__ import annotations

import asyncio

import pytest

from bot.sandboxes.model import Actor
from tests.e2e.conftest import text
from tests.e2e.relay.wire import identified
from tests.e2e.test_unanswered import answered, nobody_is_waited_for


@pytest.fixture
async def blue(scene):
    return await scene.app.manager.create(Actor(scene.ada.id, "ada"), name="blue", guild_ids=[scene.lab.id])


@pytest.fixture
async def wire(relayed, blue):
    async with identified(relayed.relay.address, await relayed.token(blue)) as wire:
        yield wire


def message(content):
    return {"type": 4, "data": {"content": content}}


async def asked(scene, wire):
    """A command of the bot's, as its user and as the bot see it."""
    reply = await scene.ada.use_foreign_command("play", channel=scene.lab.general)
    return reply, await wire.receive("INTERACTION_CREATE")


async def test_a_bot_on_the_relay_is_not_taken_for_absent(scene, wire):
    reply, interaction = await asked(scene, wire)
    await asyncio.sleep(2.4)  # as long as Discord waits, but for the way to it
    assert await wire.answer(interaction, message("the bot's")) == 204
    await answered(reply)
    await scene.until(lambda: nobody_is_waited_for(scene))
    assert [each.content for each in reply.messages] == ["the bot's"]


def hold_callbacks(relayed, monkeypatch):
    """Discord gets none before what this returns is set."""
    held, send = asyncio.Event(), relayed.relay.api._upstream._send

    async def send_late(method, path, *rest):
        if path.endswith("/callback"):
            await held.wait()
        return await send(method, path, *rest)

    monkeypatch.setattr(relayed.relay.api._upstream, "_send", send_late)
    return held


async def test_an_answer_on_its_way_to_discord_is_not_overtaken(scene, wire, relayed, monkeypatch):
    held = hold_callbacks(relayed, monkeypatch)
    scene.discord.settings.callback_deadline_s = 10
    reply, interaction = await asked(scene, wire)
    answering = asyncio.create_task(wire.answer(interaction, message("the bot's")))
    watchdog = scene.app.watchdog
    (watch,) = watchdog._watches.values()
    await asyncio.wait({watch}, timeout=3.2)  # past the moment at which nobody else may answer in time
    assert not watch.done()
    held.set()
    assert await answering == 204
    await scene.until(lambda: nobody_is_waited_for(scene))
    assert [each.content for each in (await answered(reply)).messages] == ["the bot's"]


async def test_a_bot_silences_nobody_elses_guard(scene, wire, relayed, monkeypatch):
    held = hold_callbacks(relayed, monkeypatch)
    actor = Actor(scene.bob.id, "bob")
    green = await scene.app.manager.create(actor, name="green", guild_ids=[scene.arcade.id])
    _, own = await asked(scene, wire)
    async with identified(relayed.relay.address, await relayed.token(green)) as other:
        reply = await scene.bob.use_foreign_command("play", channel=scene.arcade.general)
        interaction = await other.receive("INTERACTION_CREATE")
        disguised = {"id": interaction["id"], "token": own["token"]}
        answering = asyncio.create_task(wire.answer(disguised, message("not the bot's")))
        assert "has answered in time" in text(await answered(reply))
        held.set()
        assert await answering >= 400


async def test_an_answer_that_discord_refuses_counts_for_none(scene, wire):
    reply, interaction = await asked(scene, wire)
    assert await wire.answer(interaction, {"type": 4, "data": {}}) == 400
    assert "has answered in time" in text(await answered(reply))


async def test_a_bot_that_lost_its_connection_is_waited_for_and_one_that_said_goodbye_is_not(scene, relayed, blue):
    token, records = await relayed.token(blue), scene.app.manager.relay

    async def gone():
        return not any(client.is_connected for client in await records.list_clients(blue.id))

    async def there():
        return not await gone()

    async with identified(relayed.relay.address, token) as wire:
        await scene.until(there)
        assert await scene.app.manager.has_reader(blue.id)
        wire.socket._response.connection.transport.abort()
    await scene.until(gone)
    assert await records.has_reader(blue.id)
    async with identified(relayed.relay.address, token):
        await scene.until(there)

    async def nobody():
        clients = await records.list_clients(blue.id)
        return len(clients) == 2 and not clients[-1].is_connected and not clients[-1].returns

    await scene.until(nobody)
