"""What status tells of bots on the relay, also from another process."""

from __future__ import annotations

import json

import pytest

from bot import names
from bot.sandboxes.health import HealthLevel
from bot.sandboxes.model import Actor
from tests.e2e.relay.wire import connected, identified
from tests.e2e.test_cli import cli, environment  # noqa: F401  # fixtures


@pytest.fixture
async def blue(scene):
    return await scene.app.manager.create(Actor(scene.ada.id, "ada"), name="blue", guild_ids=[scene.lab.id])


async def shown(scene):
    reply = await scene.ada.command("sandbox status", channel=scene.lab.general, sandbox="blue")
    return {field["name"]: field["value"] for field in reply.message.embeds[0]["fields"]}


@pytest.mark.long
async def test_status_names_the_library_the_shard_and_how_far_it_has_come(
    scene,
    relayed,
    blue,
    cli,  # noqa: F811
):
    async def relay():
        return json.loads((await cli("status", "blue", "--json")).stdout)["relay"]

    assert await relay() == {"addresses": [relayed.relay.address], "clients": []}
    async with identified(relayed.relay.address, await relayed.token(blue), library="wire 1.0") as wire:
        await scene.ada.send(scene.lab.general, "hello")
        await wire.receive("MESSAGE_CREATE")
        last = (await scene.jetstream.stream_info(blue.stream)).state.last_seq

        async def is_told():
            return [(client["position"], client["behind"]) for client in (await relay())["clients"]] == [(last, 0)]

        await scene.until(is_told)
        (client,) = (await relay())["clients"]
        assert (client["library"], client["shard"], client["shard_count"]) == ("wire 1.0", 0, 1)
        assert "wire 1.0, connected" in (await cli("status", "blue")).stdout
        assert (await shown(scene))["Relay"].startswith("1 bot is connected\nwire 1.0, connected <t:")
        await wire.socket.close(code=4000)

    async def is_gone():
        return not (await relay())["clients"]

    await scene.until(is_gone)
    assert (await shown(scene))["Relay"] == "0 bots are connected"


async def test_a_session_that_goes_on_at_another_relay_keeps_its_library(scene, serve, blue):
    async with serve() as first:
        token = await first.token(blue)
        async with identified(first.relay.address, token, library="wire 2.0") as earlier:
            await scene.ada.send(scene.lab.general, "hello")
            await earlier.receive("MESSAGE_CREATE")
            await earlier.socket.close(code=4000)  # another code would give up the session
    async with serve() as second, connected(second.relay.address, token) as wire:
        await wire.resume(earlier)
        await wire.receive("RESUMED")

        async def clients():
            health = await scene.app.manager.get_health(blue.id)
            return [client.library for client in health.relay.clients if health.relay.addresses]

        async def is_told():
            return await clients() == ["wire 2.0"]

        await scene.until(is_told)


async def test_what_a_bot_on_the_relay_was_sent_waits_for_nobody_and_a_worker_is_told_what_it_would_get(
    scene, relayed, blue
):
    async with identified(relayed.relay.address, await relayed.token(blue)) as wire:
        for number in range(5):
            await scene.ada.send(scene.lab.general, f"event {number}")
            await wire.receive("MESSAGE_CREATE")

        async def nothing_waits():
            return (await scene.app.manager.get_health(blue.id)).nats.figures["unacknowledged"] == 0

        await scene.until(nothing_waits)
    health = await scene.app.manager.get_health(blue.id)  # it was there a moment ago
    by_workers = (await scene.jetstream.consumer_info(blue.stream, names.WORKER_CONSUMER)).num_pending
    assert by_workers >= 5
    assert health.nats.figures["unacknowledged_by_workers"] == by_workers
    assert f"a worker of the kit that starts now gets {by_workers}" in health.nats.summary
    assert health.level is HealthLevel.HEALTHY


async def test_half_of_the_shards_speak_for_no_whole_bot(scene, relayed, blue):
    other = (scene.lab.id >> 22) % 2
    async with identified(relayed.relay.address, await relayed.token(blue), shard=(other, 2)) as wire:
        await scene.ada.send(scene.lab.general, "hello")
        await wire.receive("MESSAGE_CREATE")

        async def clients():
            return (await scene.app.manager.get_health(blue.id)).relay.clients

        await scene.until(clients)
        health = await scene.app.manager.get_health(blue.id)
        assert health.nats.figures["unacknowledged"] == health.nats.figures["unacknowledged_by_workers"] > 0
        assert f"shard {other} of 2" in health.relay.clients[0].summary
