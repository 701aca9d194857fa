"""What ends a sandbox, or its credentials, ends its bot on the relay: within two seconds, wherever the relay runs."""

from __future__ import annotations

import time

import pytest

from bot.sandboxes.access.tokens import make_bot_token
from bot.sandboxes.model import Actor
from tests.e2e.relay.processes import relay_process
from tests.e2e.relay.wire import connected, identified
from tests.e2e.test_cli import environment  # noqa: F401  # fixture

WITHIN_S = 2.0


@pytest.fixture
async def blue(scene):
    return await scene.app.manager.create(Actor(scene.ada.id, "ada"), name="blue", guild_ids=[scene.lab.id])


@pytest.fixture(params=["beside the bot", pytest.param("a process of its own", marks=pytest.mark.long)])
async def address(request, scene, serve, environment, discord):  # noqa: F811
    if request.param == "beside the bot":
        async with serve() as relayed:
            yield relayed.relay.address
    else:
        async with relay_process(environment, discord) as relay:
            yield relay.address


async def issue(scene, sandbox):
    details = await scene.app.manager.issue_credentials(Actor(scene.ada.id, "ada"), sandbox.id, rotate=True)
    secret = details.environment["SANDBOX_NATS_URL"].split(":")[2].split("@")[0]
    return make_bot_token(scene.discord.application_id, sandbox.short_id, secret)


async def rotate(scene, sandbox):
    await issue(scene, sandbox)


async def destroy(scene, sandbox):
    await scene.app.manager.destroy(Actor(scene.ada.id, "ada"), sandbox.id)


async def expire(scene, sandbox):
    await scene.app.stores.pool.execute(
        "UPDATE sandboxes SET created_at = created_at - interval '2 days', expires_at = now() WHERE id = $1", sandbox.id
    )


async def test_rotation_destruction_and_expiry_log_its_bot_out(scene, address):
    actor = Actor(scene.ada.id, "ada")
    for end in (rotate, destroy, expire):
        sandbox = await scene.app.manager.create(actor, name=end.__name__, guild_ids=[scene.lab.id])
        async with identified(address, await issue(scene, sandbox)) as wire:
            assert await wire.request("GET", "/users/@me") == 200
            began = time.monotonic()
            await end(scene, sandbox)
            assert await wire.close_code() == 4004
            assert await wire.request("GET", "/users/@me") == 401
            assert time.monotonic() - began < WITHIN_S
        if end is not destroy:
            await destroy(scene, sandbox)


async def test_a_reset_begins_its_bots_session_anew_and_keeps_its_token(scene, address, blue):
    token = await issue(scene, blue)
    async with identified(address, token) as wire:
        began = time.monotonic()
        await scene.app.manager.reset(Actor(scene.ada.id, "ada"), blue.id)
        assert await wire.receive(9) is False
        assert await wire.close_code() == 4000
        assert time.monotonic() - began < WITHIN_S
        assert await wire.request("GET", "/users/@me") == 200
    async with connected(address, token) as again:
        await again.resume(wire)
        assert await again.receive(9) is False
        await again.identify()


async def keys(scene, pattern="sandbox-bot:relay-*"):
    return await scene.app.stores.redis.keys(pattern)


@pytest.mark.long
async def test_a_teardown_leaves_nothing_of_the_relays_in_redis(scene, serve, blue):
    async with serve() as relayed, identified(relayed.relay.address, await issue(scene, blue)) as wire:
        await scene.ada.send(scene.lab.general, "hello")
        await wire.receive("MESSAGE_CREATE")

        async def all_noted():
            return len(await keys(scene)) == 4  # session, position, client, and what names them

        await scene.until(all_noted)
        await destroy(scene, blue)
        assert await wire.close_code() == 4004

    async def nothing():
        return await keys(scene) == []

    await scene.until(nothing)


async def test_a_teardown_needs_no_relay(scene, serve, blue):
    async with serve() as relayed, identified(relayed.relay.address, await issue(scene, blue)) as wire:
        await scene.ada.send(scene.lab.general, "hello")
        await wire.receive("MESSAGE_CREATE")
        await wire.socket.close(code=4000)
    assert len(await keys(scene)) == 4
    await destroy(scene, blue)
    assert await keys(scene) == []


async def test_commands_of_a_bot_are_taken_back_though_no_relay_serves(scene, serve, blue):
    def there():
        return [command["name"] for command in scene.discord.guild_commands.get(scene.lab.id, [])]

    async with serve() as relayed, connected(relayed.relay.address, await issue(scene, blue)) as wire:
        ping = {"name": "ping", "description": "Answers pong", "type": 1}
        path = f"/applications/{scene.discord.application_id}/commands"
        assert await wire.request("PUT", path, json=[ping]) == 200
        assert there() == ["ping"]
    await destroy(scene, blue)

    async def taken_back():
        return there() == []

    await scene.until(taken_back)
